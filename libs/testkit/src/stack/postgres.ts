import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../postgres-server.ts';
import { servicePort } from './port.ts';
import type { Service, ServiceOptions } from './service.ts';

/** Where a PostgreSQL is. */
export interface PostgresAddress {
  /** A connection string of its superuser. */
  readonly dsn: string;
  readonly host: string;
  readonly port: number;
}

/** Starts PostgreSQL as a service of the stack. */
export async function startPostgresService(options: ServiceOptions): Promise<Service<PostgresAddress>> {
  const port = options.port ?? (await servicePort());
  mkdirSync(options.directory, { recursive: true });
  const logFile = join(options.directory, 'postgres.log');
  const directory = postgresDataFolder(options.directory);
  const server = await startPostgres({ directory, keep: true, port, logFile, settings: { fsync: 'on' } });
  const stop = () => server.halt();
  return {
    name: 'postgres',
    address: { dsn: server.dsn(), host: server.host, port: server.port },
    logFile,
    pid: undefined,
    start: server.start,
    stop,
    kill: () => server.halt('kill'),
    pause: server.pause,
    resume: server.resume,
    check: () => asksForPassword(server.port, AbortSignal.timeout(5_000)),
    [Symbol.asyncDispose]: stop,
  };
}

/** Where its data is. Run by root the server is another user, who cannot go into just any folder: the place is then among the temporary files. */
export function postgresDataFolder(directory: string): string {
  if (process.getuid?.() !== 0) return directory;
  return join(tmpdir(), `nanosync-pg-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`);
}

const PROTOCOL = 196_608;

/** Begins a session: a server that takes connections asks for a password, one that is starting or stopping answers with an error. */
export async function asksForPassword(port: number, signal: AbortSignal): Promise<void> {
  const body = Buffer.from('user\0postgres\0database\0postgres\0\0');
  const head = Buffer.alloc(8);
  head.writeInt32BE(head.length + body.length);
  head.writeInt32BE(PROTOCOL, 4);
  const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.concat([head, body])));
  const reply = await new Promise<Buffer>((resolve, reject) => {
    socket.once('data', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('PostgreSQL closed the connection')));
    signal.addEventListener('abort', () => socket.destroy(new Error('PostgreSQL did not answer in time')), { once: true });
  }).finally(() => socket.destroy());
  if (reply[0] !== 'R'.charCodeAt(0)) throw new Error(`PostgreSQL refused a session: ${reply.toString().replaceAll('\0', ' ')}`);
}
