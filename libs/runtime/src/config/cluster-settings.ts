import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { PipelineError } from '@nanosync/core';
import type { SecretSources } from '../secrets.ts';
import { resolveTexts } from '../secrets.ts';
import type { ClusterSections } from './cluster-schema.ts';
import { parseSize } from './units.ts';

/** Certificates; all absent: the system's authorities. Paths in a file's settings, PEM texts once they are resolved. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Where Kafka is and how to enter it. */
export interface KafkaSettings {
  readonly brokers: readonly string[];
  readonly topicPrefix: string;
  /** Copies of each message on topics that are made. */
  readonly replicationFactor: number;
  /** Undefined: what the bus's adapter takes. */
  readonly maxMessageBytes: number | undefined;
  /** Null: no TLS. */
  readonly tls: TlsSettings | null;
  readonly sasl: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    readonly username: string;
    readonly password: string;
  } | null;
}

/** Where the schema registry is. */
export interface RegistrySettings {
  readonly url: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: TlsSettings | null;
}

/** Where Redis is. */
export interface RedisSettings {
  readonly url: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly keyPrefix: string;
  /** Null: only where the URL says `rediss`. */
  readonly tls: TlsSettings | null;
}

/** The engines of a cluster. As parsed it has references and paths of files; {@link resolveCluster} fills them in. */
export interface ClusterSettings {
  readonly kafka: KafkaSettings;
  readonly registry: RegistrySettings;
  readonly redis: RedisSettings;
}

const DEFAULT_PREFIX = 'nanosync';
/** What acknowledged messages need to survive the loss of a broker. */
const DEFAULT_REPLICATION_FACTOR = 3;

/** The cluster that both sections describe, or null where there is none. Paths are relative to the server file. */
export function clusterOf({ bus, state }: ClusterSections, file: string): ClusterSettings | null {
  const { kafka, registry } = bus ?? {};
  const { redis } = state ?? {};
  if (kafka === undefined || registry === undefined || redis === undefined) return null;
  const tlsOf = (written: { readonly [K in keyof TlsSettings]?: string | undefined } | undefined): TlsSettings | null =>
    written === undefined ? null : mapped(written, (path) => resolve(dirname(file), path));
  return {
    kafka: {
      brokers: kafka.brokers,
      topicPrefix: kafka.topic_prefix ?? DEFAULT_PREFIX,
      replicationFactor: kafka.replication_factor ?? DEFAULT_REPLICATION_FACTOR,
      maxMessageBytes: kafka.max_message_bytes === undefined ? undefined : parseSize(kafka.max_message_bytes),
      tls: tlsOf(kafka.tls),
      sasl: kafka.sasl ?? null,
    },
    registry: { url: registry.url, username: registry.username, password: registry.password, tls: tlsOf(registry.tls) },
    redis: {
      url: redis.url,
      username: redis.username,
      password: redis.password,
      keyPrefix: redis.key_prefix ?? DEFAULT_PREFIX,
      tls: tlsOf(redis.tls),
    },
  };
}

/**
 * The settings with every reference filled in and every certificate read: for opening connections and for nothing else. Passwords
 * become known to the redactor first. Throws PipelineError `config` where something is not set or not readable.
 */
export async function resolveCluster({ kafka, registry, redis }: ClusterSettings, sources: SecretSources): Promise<ClusterSettings> {
  const login = { username: kafka.sasl?.username, password: kafka.sasl?.password };
  const bus: Readonly<Record<string, string | undefined>> = await resolveTexts(
    'bus.kafka',
    { ...login, ...numbered(kafka.brokers) },
    sources,
  );
  const brokers = kafka.brokers.flatMap((_, index) => (bus[String(index)] as string).split(',').map((broker) => broker.trim()));
  return {
    kafka: {
      ...kafka,
      brokers,
      tls: readTls('bus.kafka.tls', kafka.tls),
      sasl: kafka.sasl === null ? null : { ...kafka.sasl, username: bus.username ?? '', password: bus.password ?? '' },
    },
    registry: { ...registry, ...(await entrance('bus.registry', registry, sources)), tls: readTls('bus.registry.tls', registry.tls) },
    redis: { ...redis, ...(await entrance('state.redis', redis, sources)), tls: readTls('state.redis.tls', redis.tls) },
  };
}

interface Entrance {
  readonly url: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

async function entrance(place: string, { url, username, password }: Entrance, sources: SecretSources): Promise<Entrance> {
  const filled = await resolveTexts(place, { url, username, password }, sources);
  return { url: filled.url ?? url, username: filled.username, password: filled.password };
}

function numbered(texts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(texts.map((text, index) => [String(index), text]));
}

function readTls(place: string, tls: TlsSettings | null): TlsSettings | null {
  return tls === null ? null : mapped(tls, (path, name) => readPem(`${place}.${name}`, path));
}

function readPem(place: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new PipelineError('config', `${place} names ${path}, which cannot be read (${code}).`, {
      hint: 'Correct the path, which is relative to the server file, or the file’s rights.',
      cause: error,
    });
  }
}

function mapped(
  tls: { readonly [K in keyof TlsSettings]?: string | undefined },
  change: (text: string, name: string) => string,
): TlsSettings {
  return Object.fromEntries(Object.entries(tls).flatMap(([name, text]) => (text === undefined ? [] : [[name, change(text, name)]])));
}
