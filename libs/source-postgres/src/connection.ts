import { PipelineError } from '@nanosync/core';
import type { ClientConfig } from 'pg';
import { Client } from 'pg';
import { explainPostgresError } from './postgres-error.ts';
import { tlsOf } from './tls.ts';

/** What differs between the connections of one source. */
export interface ConnectionOptions {
  /** `database` for a connection that speaks the replication protocol (and SQL). */
  readonly replication?: 'database';
  /** The server ends a statement after this long; 0 never. Default ten minutes, never on a replication connection. */
  readonly statementTimeoutMs?: number;
  /** The server gives up waiting for a lock after this long. Default ten seconds. */
  readonly lockTimeoutMs?: number;
  /** `own`: the search path of database and user, for what users write; else names are those of the system alone. */
  readonly searchPath?: 'own';
  /** Nothing can be changed over it. */
  readonly readOnly?: boolean;
}

/** How to reach one database; makes connections that all carry the same settings, so that every path prints values alike. */
export interface Connect {
  /** The place as errors name it: `host:port/database as user`. Never the password. */
  readonly place: string;
  readonly database: string;
  readonly user: string;
  /** The settings for a driver that opens the connection itself. `purpose` ends up in the connection's application name. */
  config(purpose: string, options?: ConnectionOptions): ClientConfig;
  /**
   * An open connection whose results are all text as the server wrote it (nothing is parsed). The caller ends it. Throws
   * PipelineError with the place and the cure.
   */
  open(purpose: string, options?: ConnectionOptions): Promise<Client>;
  /** The error of a query or connection as a PipelineError that names the place; PipelineErrors stay as they are. */
  explain(error: unknown): PipelineError;
}

/** Every value stays the text that the server sent: the driver's own parsers lose microseconds, digits and time zones. */
const RAW_TEXT: NonNullable<ClientConfig['types']> = { getTypeParser: () => (value: string) => value } as never;

const CONNECT_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 600_000;
const LOCK_TIMEOUT_MS = 10_000;

/** Settings that decide how values are printed, and what a reader sees; equal on every connection. */
const SETTINGS: Readonly<Record<string, string>> = {
  datestyle: 'ISO',
  intervalstyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  timezone: 'UTC',
  // Names inside values (regclass) are printed in full.
  search_path: 'pg_catalog',
  // Without it a reader without BYPASSRLS sees no rows of a table with row security, and no error.
  // Invariant 'cover': rows that are hidden are an error.
  row_security: 'off',
  // Nothing of ours is user data: a standby that is away must not hold up a marker, a fence or a publication.
  synchronous_commit: 'local',
  default_transaction_isolation: 'read\\ committed',
};

/** Reads the connection string once. Throws `config` when it is none; the message never repeats it, as it holds the password. */
export function connectTo(dsn: string, applicationName: string): Connect {
  const base = parseDsn(dsn);
  const place = `${base.host}:${base.port}/${base.database} as ${base.user}`;
  const config = (purpose: string, options: ConnectionOptions = {}): ClientConfig => ({
    ...base,
    application_name: `${applicationName} ${purpose}`.slice(0, 63),
    options: startupOptions(options),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types: RAW_TEXT,
    // pg's types know the option on its LogicalReplicationService only; the startup packet takes it from here.
    ...((options.replication === undefined ? {} : { replication: options.replication }) as ClientConfig),
  });
  const explain = (error: unknown) => explainPostgresError(error, place);
  const open = async (purpose: string, options?: ConnectionOptions) => {
    const client = new Client(config(purpose, options));
    // A broken idle connection is reported by its next query; without a listener it would end the process.
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      destroy(client);
      throw explain(error);
    }
  };
  return { place, database: base.database, user: base.user, config, open, explain };
}

/** Runs `work` on a connection of its own and ends it, whatever happens. Errors name the place. */
export async function withConnection<T>(
  connect: Connect,
  purpose: string,
  work: (client: Client) => Promise<T>,
  options?: ConnectionOptions,
): Promise<T> {
  const client = await connect.open(purpose, options);
  try {
    const result = await work(client);
    await client.end();
    return result;
  } catch (error) {
    destroy(client);
    throw connect.explain(error);
  }
}

/** Drops a connection without asking the server: its transaction is rolled back and a running COPY ends. */
export function destroy(client: Client): void {
  const { connection } = client as unknown as { connection?: { stream?: { destroy(): void } } };
  connection?.stream?.destroy();
}

/** One query whose single cell is JSON; the only way catalog facts are read here, as nothing else is parsed. */
export async function queryJson<T>(client: Client, sql: string, parameters: readonly unknown[] = []): Promise<T> {
  const { rows } = await client.query<Record<string, string>>({ text: sql, values: [...parameters] });
  const [cell] = Object.values(rows[0] ?? {});
  if (cell === undefined || cell === null) throw new PipelineError('defect', 'a catalog query gave no answer');
  return JSON.parse(cell) as T;
}

/** An SQL identifier in double quotes. */
export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** An SQL string literal. */
export function quoteLiteral(text: string): string {
  return `${text.includes('\\') ? ' E' : ''}'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

function startupOptions(options: ConnectionOptions): string {
  const statementTimeout = options.statementTimeoutMs ?? (options.replication === undefined ? STATEMENT_TIMEOUT_MS : 0);
  const { search_path, ...others } = SETTINGS;
  const settings = {
    ...others,
    ...(options.searchPath === 'own' ? {} : { search_path }),
    ...(options.readOnly === true ? { default_transaction_read_only: 'on' } : {}),
    statement_timeout: String(statementTimeout),
    lock_timeout: String(options.lockTimeoutMs ?? LOCK_TIMEOUT_MS),
  };
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ');
}

interface Base {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly ssl: false | NonNullable<ClientConfig['ssl']>;
}

function parseDsn(dsn: string): Base {
  const hint = 'Write it as postgres://USER@HOST:5432/DATABASE, with the password behind USER and a colon.';
  if (!/^postgres(?:ql)?:\/\//.test(dsn))
    throw new PipelineError('config', 'The connection string does not begin with postgres://.', { hint });
  const { dsn: plain, tls } = tlsOf(dsn);
  try {
    // The driver parses it; options of our own go beside the result, because inside it they would override ours.
    const { host, port, database, user, password } = new Client({ connectionString: plain });
    return { host, port, database: database ?? '', user: user ?? '', password: password ?? '', ssl: tls ?? false };
  } catch {
    // No cause: the parser's error repeats the string, password and all.
    throw new PipelineError('config', 'The connection string cannot be read.', {
      hint: `${hint} Write special characters of the password as %XX.`,
    });
  }
}
