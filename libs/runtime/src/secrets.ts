import type { ConnectionDefinition } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Environment } from './environment.ts';
import type { Redactor } from './redact.ts';
import type { SecretStore } from './secret-store.ts';
import { secretStores } from './secret-store.ts';

/** A reference as written: `${env:NAME}` or `${secret:NAME}`. */
const REFERENCE = /\$\{(env|secret):([A-Za-z_][A-Za-z0-9_.-]*)\}/g;
/** Properties whose values are never printed, wherever they came from. */
const SECRET_PROPERTY = /pass|pwd|secret|token|credential|private|key/i;

/** Where references are looked up, and who must know what they turned out to be. */
export interface SecretSources {
  readonly env: Environment;
  /** Folder with one file a secret; default `NANOSYNC_SECRETS_DIR`, else `/run/secrets`. */
  readonly directory?: string;
  /** Asked one after the other for each `${secret:NAME}`; default: the folder, then the environment. */
  readonly stores?: readonly SecretStore[];
  readonly redactor?: Redactor;
}

/** What is wrong with the references in a text, in words, or undefined: anything in `${...}` must be one we know. */
export function referenceProblem(text: string): string | undefined {
  const rest = text.replace(REFERENCE, '');
  if (!rest.includes('${')) return undefined;
  return 'has a ${...} that is no reference; write ${env:NAME} or ${secret:NAME}';
}

/** True when the text has a reference. */
export function hasReference(text: string): boolean {
  return new RegExp(REFERENCE.source).test(text);
}

/**
 * The connection with every reference replaced, for opening it and for nothing else: never store or print the result. What
 * was resolved becomes known to the redactor first. Throws PipelineError `config` that names every reference that is not set.
 */
export async function resolveSecrets(connection: ConnectionDefinition, sources: SecretSources): Promise<ConnectionDefinition> {
  const { dsn: template, properties: templates } = connection;
  const values = await valuesOf([template ?? '', ...Object.values(templates)], `connection ${connection.name}`, sources);
  const dsn = template === null ? null : filledIn(template, values);
  const properties = Object.fromEntries(Object.entries(templates).map(([name, value]) => [name, filledIn(value, values)]));
  if (dsn !== null) for (const password of passwordsOf(dsn)) sources.redactor?.add(password);
  tellRedactor(properties, sources);
  return { ...connection, dsn, properties };
}

/** The same for named texts of another place, such as a section of the server file; what is undefined stays so. */
export async function resolveTexts<Name extends string>(
  place: string,
  texts: Readonly<Record<Name, string | undefined>>,
  sources: SecretSources,
): Promise<Readonly<Record<Name, string | undefined>>> {
  const entries = Object.entries<string | undefined>(texts);
  const values = await valuesOf(
    entries.flatMap(([, text]) => text ?? []),
    place,
    sources,
  );
  const filled = Object.fromEntries(entries.map(([name, text]) => [name, text === undefined ? undefined : filledIn(text, values)]));
  tellRedactor(filled, sources);
  return filled as Record<Name, string | undefined>;
}

/** What every reference in these texts stands for. Secrets become known to the redactor first. Throws for those that are not set, all at once. */
async function valuesOf(templates: readonly string[], place: string, sources: SecretSources): Promise<ReadonlyMap<string, string>> {
  const stores = sources.stores ?? secretStores(sources.env, sources.directory);
  const values = new Map<string, string>();
  const missing: string[] = [];
  for (const [reference, kind, name] of templates.flatMap((template) => [...template.matchAll(REFERENCE)])) {
    if (values.has(reference) || missing.includes(reference)) continue;
    const value = kind === 'env' ? sources.env[name as string] : await secretOf(name as string, stores);
    if (value === undefined || value === '') missing.push(reference);
    else values.set(reference, value);
    if (kind === 'secret' && value) sources.redactor?.add(value);
  }
  if (missing.length > 0) throw notSet(place, missing, stores);
  return values;
}

async function secretOf(name: string, stores: readonly SecretStore[]): Promise<string | undefined> {
  for (const store of stores) {
    const value = await store.find(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

function tellRedactor(texts: Readonly<Record<string, string | undefined>>, { redactor }: SecretSources): void {
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined) continue;
    if (SECRET_PROPERTY.test(name)) for (const secret of [text, ...secretsWithin(text)]) redactor?.add(secret);
    if (text.includes('://')) for (const password of passwordsOf(text)) redactor?.add(password);
  }
}

function filledIn(template: string, values: ReadonlyMap<string, string>): string {
  return template.replace(REFERENCE, (reference: string, _kind: string, _name: string, at: number) => {
    const value = values.get(reference) ?? '';
    return isUserinfo(template, at, at + reference.length) ? encodeUserinfo(value) : value;
  });
}

/** The secrets of a service account's key, which is JSON: whoever reads it prints its parts. */
function secretsWithin(text: string): readonly string[] {
  if (!text.startsWith('{')) return [];
  try {
    const parts = Object.entries(JSON.parse(text) as Readonly<Record<string, unknown>>);
    return parts.flatMap(([name, part]) => (typeof part === 'string' && /private/.test(name) ? [part] : []));
  } catch {
    return [];
  }
}

function notSet(place: string, references: readonly string[], stores: readonly SecretStore[]): PipelineError {
  const cures = references.map((reference) => {
    const name = reference.slice(reference.indexOf(':') + 1, -1);
    return reference.startsWith('${env:')
      ? `set the environment variable ${name}`
      : `put it into ${stores.map((store) => store.place(name)).join(' or ')}`;
  });
  return new PipelineError('config', `${place} needs ${references.join(' and ')}, which is not set.`, {
    hint: `${capitalized(cures.join(' and '))}.`,
  });
}

/** True between `://` and the last `@` of a URL: there a raw password must not be taken for the URL's own signs. */
function isUserinfo(template: string, start: number, end: number): boolean {
  return (
    template.slice(0, start).includes('://') && !/[/?#]/.test(afterScheme(template.slice(0, start))) && template.slice(end).includes('@')
  );
}

function afterScheme(text: string): string {
  return text.slice(text.indexOf('://') + 3);
}

function encodeUserinfo(value: string): string {
  const isEncoded = /^(?:[^/?#@:%\s[\]]|%[0-9A-Fa-f]{2})*$/.test(value);
  return isEncoded ? value : encodeURIComponent(value);
}

/**
 * The passwords of a connection string, as written and decoded. One that is also the user's or the database's name is left
 * out: hiding that word everywhere would make messages useless, and printing it tells nobody that it is the password.
 */
function passwordsOf(dsn: string): readonly string[] {
  const [, user, url, rest] = /^[a-z][a-z0-9+.-]*:\/\/([^\s:/@]*):(.*)@(.*)$/i.exec(dsn) ?? [];
  const keywords = [...dsn.matchAll(/\b(?:ssl)?password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&]+))/gi)].map((match) => match[1] ?? match[2]);
  const names = new Set([
    user,
    ...(rest ?? '').split(/[/?:]/),
    ...[...dsn.matchAll(/\b(?:user|dbname|host)\s*=\s*([^\s&]+)/g)].map((match) => match[1]),
  ]);
  const passwords = [url, ...keywords].filter((found) => found !== undefined).flatMap((found) => [found, decoded(found)]);
  return passwords.filter((password) => !names.has(password));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
