import { get } from 'node:http';
import { Agent, get as getSecure } from 'node:https';
import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { PipelineError, type Registry } from '@nanosync/core';
import { isCertificate } from './errors.ts';

const TIMEOUT_MS = 10_000;
const CONFLICT = 409;
const REGISTER_ATTEMPTS = 4;

/** Settings of {@link openSchemaRegistry}: the address of the Confluent API, path included, and who asks. */
export interface SchemaRegistryOptions {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Authority of the registry's certificate, in PEM form, where it is not one of the system's. */
  readonly ca?: string | undefined;
}

/**
 * A registry with Confluent's API. New subjects are made BACKWARD compatible, unless someone has set another level on them. Schema texts
 * are read over HTTP, because the library hands out parsed types, which have lost the attributes that `core` decodes by.
 */
export function openSchemaRegistry(options: SchemaRegistryOptions): Registry {
  const url = options.url.replace(/\/+$/, '');
  const settings = { ...options, url };
  const client = clientOf(settings);
  const ids = new Map<string, Promise<number>>();
  const texts = new Map<number, Promise<string>>();
  return {
    register: (subject, schema) => remembered(ids, `${subject}\n${schema}`, () => register(client, settings, subject, schema)),
    schema: (id) => remembered(texts, id, () => schemaText(settings, id)),
  };
}

/** Ids and texts never change, so one answer is enough; a failure is not remembered. */
function remembered<K, V>(known: Map<K, Promise<V>>, key: K, ask: () => Promise<V>): Promise<V> {
  const before = known.get(key);
  if (before !== undefined) return before;
  const asking = ask();
  known.set(key, asking);
  asking.catch(() => known.delete(key));
  return asking;
}

function clientOf({ url, username, password, ca }: SchemaRegistryOptions): SchemaRegistry {
  return new SchemaRegistry({
    host: url,
    ...(username === undefined ? {} : { auth: { username, password: password ?? '' } }),
    ...(ca === undefined ? {} : { agent: new Agent({ ca, keepAlive: true }) }),
  });
}

/**
 * Asks again where another process made the subject at the same time: Apicurio then says that its rule "already exists", with the status of a
 * schema that does not fit, and the library finds another level than a moment ago. A schema that truly does not fit is refused each time.
 */
async function register(client: SchemaRegistry, settings: SchemaRegistryOptions, subject: string, schema: string): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      const level = (await subjectLevel(settings, subject)) ?? COMPATIBILITY.BACKWARD;
      const { id } = await client.register({ type: SchemaType.AVRO, schema }, { subject, compatibility: level });
      return id;
    } catch (error) {
      if (attempt < REGISTER_ATTEMPTS && mayBeRace(error)) continue;
      throw registryError(error, settings, subject);
    }
  }
}

function mayBeRace(error: unknown): boolean {
  const { status, name } = error as { readonly status?: unknown; readonly name?: unknown };
  return status === CONFLICT || name === 'ConfluentSchemaRegistryCompatibilityError';
}

/** The level that was set on the subject; undefined for a new subject, or one that follows the registry's level. */
async function subjectLevel(settings: SchemaRegistryOptions, subject: string): Promise<COMPATIBILITY | undefined> {
  const answer = await ask(settings, `/config/${encodeURIComponent(subject)}`);
  if (isUnknown(answer)) return undefined;
  if (answer.status !== 200) throw Object.assign(new Error('The registry answered with an error.'), { status: answer.status });
  return (JSON.parse(answer.body) as { compatibilityLevel: string }).compatibilityLevel.toUpperCase() as COMPATIBILITY;
}

async function schemaText(settings: SchemaRegistryOptions, id: number): Promise<string> {
  const answer = await ask(settings, `/schemas/ids/${id}`).catch((error: unknown) => {
    throw registryError(error, settings);
  });
  if (isUnknown(answer))
    throw new PipelineError('gap', `The registry has no schema ${id}.`, { hint: 'Resnapshot the pipeline if the registry was restored.' });
  if (answer.status !== 200) throw registryError({ status: answer.status }, settings);
  return (JSON.parse(answer.body) as { schema: string }).schema;
}

/** The registry itself says that it does not know what was asked for; a server that knows no such page has no error code of Confluent's. */
function isUnknown({ status, body }: Answer): boolean {
  return status === 404 && /"error_code"\s*:\s*40[0-9]{3}/.test(body);
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

function ask({ url, username, password, ca }: SchemaRegistryOptions, path: string): Promise<Answer> {
  const options = {
    timeout: TIMEOUT_MS,
    headers: { accept: 'application/vnd.schemaregistry.v1+json, application/json' },
    ...(username === undefined ? {} : { auth: `${username}:${password ?? ''}` }),
    ...(ca === undefined ? {} : { ca }),
  };
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? getSecure : get;
    const request = send(`${url}${path}`, options, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }));
    });
    request.on('timeout', () => request.destroy(new Error('The registry did not answer in time.')));
    request.on('error', reject);
  });
}

function registryError(error: unknown, { url, username }: SchemaRegistryOptions, subject?: string): PipelineError {
  if (error instanceof PipelineError) return error;
  const { status } = error as { readonly status?: unknown };
  const cause = { cause: error };
  if (status === 401 || status === 403)
    return new PipelineError('prerequisite', `The schema registry at ${url} refuses ${username ?? 'a client without a login'}.`, {
      ...cause,
      hint: 'Check user, password and permissions of the registry in the server file.',
    });
  if (status === 404)
    return new PipelineError('prerequisite', `At ${url} there is no schema registry with Confluent's API (404).`, {
      ...cause,
      hint: "Correct bus.registry.url in the server file, its path included: Apicurio's is /apis/ccompat/v7.",
    });
  if (isCertificate(error))
    return new PipelineError('prerequisite', `No secure connection to the schema registry at ${url}: ${(error as Error).message}.`, {
      ...cause,
      hint: 'Check the authority (ca) of the registry in the server file, and the name in its certificate.',
    });
  if (status === CONFLICT)
    return new PipelineError('prerequisite', `The schema registry finds the new schema of ${subject} unfit for readers of the old one.`, {
      ...cause,
      hint: `Allow it for this subject: curl -X PUT -H 'content-type: application/json' -d '{"compatibility":"NONE"}' ${url}/config/${subject}`,
    });
  const reason = error instanceof Error ? ` (${error.message})` : '';
  return new PipelineError(
    'unavailable',
    `The schema registry at ${url} does not answer${status === undefined ? '' : ` as it should: ${status}`}.`,
    {
      ...cause,
      hint: `Start it, or correct its address in the server file; tried again by itself.${reason}`,
    },
  );
}
