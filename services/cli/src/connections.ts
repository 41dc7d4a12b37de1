import type { ConnectionDefinition } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';

/** The connection string of a PostgreSQL connection: as written, or made of its properties. */
export function postgresDsn(connection: ConnectionDefinition): string {
  if (connection.dsn !== null) return connection.dsn;
  const { host = 'localhost', port, user, password, database, sslmode } = connection.properties;
  const encoded = (text: string | undefined, lead = '') => (text === undefined ? '' : `${lead}${encodeURIComponent(text)}`);
  const login = user === undefined ? '' : `${encoded(user)}${encoded(password, ':')}@`;
  const server = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  const query = sslmode === undefined ? '' : `?sslmode=${encodeURIComponent(sslmode)}`;
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

/** Throws PipelineError `config` for a connection of another type than the role has. */
export function requireType(connection: ConnectionDefinition, types: readonly string[], role: 'source' | 'sink'): void {
  if (types.includes(connection.type)) return;
  throw new PipelineError('config', `connection ${connection.name} is of type ${connection.type}, which is no ${role} here.`, {
    hint: types.length === 1 ? `The ${role} that exists is ${types[0]}.` : `There are ${types.join(' and ')}.`,
  });
}
