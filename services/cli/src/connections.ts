import type { ConnectionDefinition } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { parseDuration, TLS_PROPERTIES } from '@nanosync/runtime';

/** The connection string of a PostgreSQL connection: as written, or made of its properties. */
export function postgresDsn(connection: ConnectionDefinition): string {
  if (connection.dsn !== null) return connection.dsn;
  const { host = 'localhost', port, user, password, database } = connection.properties;
  const encoded = (text: string | undefined, lead = '') => (text === undefined ? '' : `${lead}${encodeURIComponent(text)}`);
  const login = user === undefined ? '' : `${encoded(user)}${encoded(password, ':')}@`;
  const server = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  const tls = TLS_PROPERTIES.flatMap((name) => {
    const value = connection.properties[name];
    return value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`];
  });
  const query = tls.length === 0 ? '' : `?${tls.join('&')}`;
  return `postgres://${login}${server}${port === undefined ? '' : `:${port}`}/${encoded(database)}${query}`;
}

/** The file of a DuckDB connection. */
export function duckdbPath(connection: ConnectionDefinition): string {
  const path = connection.dsn ?? connection.properties.path;
  if (path === undefined || path === '')
    throw new PipelineError('config', `connection ${connection.name} names no DuckDB file.`, { hint: 'Give it as properties.path.' });
  return path.replace(/^duckdb:(?:\/\/)?/, '');
}

/** DuckDB's memory limit: the connection's own, or the server's. */
export function duckdbMemoryLimit(connection: ConnectionDefinition, serverBytes: number): string {
  return connection.properties.memory_limit ?? `${Math.floor(serverBytes / 1e6)}MB`;
}

/** DuckDB's threads, where the connection says how many. */
export function duckdbThreads(connection: ConnectionDefinition): number | undefined {
  const { threads } = connection.properties;
  if (threads === undefined) return undefined;
  if (!/^[1-9]\d{0,3}$/.test(threads))
    throw new PipelineError('config', `connection ${connection.name}: threads is not a whole number above 0.`, {
      hint: 'Correct it or leave it out.',
    });
  return Number(threads);
}

/** Where a BigQuery connection leads, and as whom. Without a key the application default credentials are taken. */
export interface BigQueryPlace {
  readonly project: string;
  readonly dataset: string;
  readonly location: string | undefined;
  readonly keyFile: string | undefined;
  readonly credentials: { readonly client_email: string; readonly private_key: string } | undefined;
  readonly endpoint: string | undefined;
  readonly flushIntervalMs: number | undefined;
}

/** The place of a BigQuery connection; its `credentials` are the JSON of a service account's key. */
export function bigQueryPlace(connection: ConnectionDefinition): BigQueryPlace {
  const {
    project = '',
    dataset = '',
    location,
    key_file: keyFile,
    credentials,
    endpoint,
    flush_interval: flushInterval,
  } = connection.properties;
  const flushIntervalMs = flushIntervalOf(connection.name, flushInterval);
  return { project, dataset, location, keyFile, endpoint, flushIntervalMs, credentials: serviceAccount(connection.name, credentials) };
}

function flushIntervalOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '0') return text === undefined ? undefined : 0;
  const interval = parseDuration(text);
  if (interval !== undefined) return interval;
  throw new PipelineError('config', `connection ${name}: flush_interval is no duration.`, {
    hint: 'Write it like 10s or 2m; 0 waits for nothing.',
  });
}

function serviceAccount(name: string, json: string | undefined): BigQueryPlace['credentials'] {
  if (json === undefined) return undefined;
  try {
    const { client_email, private_key } = JSON.parse(json) as Partial<NonNullable<BigQueryPlace['credentials']>>;
    if (typeof client_email === 'string' && typeof private_key === 'string') return { client_email, private_key };
  } catch {
    // Said below, and without the text.
  }
  throw new PipelineError('config', `connection ${name}: credentials are not the JSON of a service account's key.`, {
    hint: 'Give the whole file, as ${secret:NAME}, or its path as key_file.',
  });
}

/** Throws PipelineError `config` for a connection of another type than the role has. */
export function requireType(connection: ConnectionDefinition, types: readonly string[], role: 'source' | 'sink'): void {
  if (types.includes(connection.type)) return;
  throw new PipelineError('config', `connection ${connection.name} is of type ${connection.type}, which is no ${role} here.`, {
    hint: types.length === 1 ? `The ${role} that exists is ${types[0]}.` : `There are ${types.join(' and ')}.`,
  });
}
