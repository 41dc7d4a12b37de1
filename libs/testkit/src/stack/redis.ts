import { mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { type Certificates, makeCertificates } from './certificates.ts';
import { servicePort } from './port.ts';
import { findRedis } from './redis-install.ts';
import { type Service, type ServiceOptions, startService } from './service.ts';

/** Where a Redis is. */
export interface RedisAddress {
  /** `rediss://` with TLS; with the user and the password that it asks for. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** With {@link RedisOptions.secured}. */
  readonly secured?: SecuredRedis;
}

/** What a client of a secured Redis must know. */
export interface SecuredRedis {
  readonly username: string;
  readonly password: string;
  /** File of the authority to trust. */
  readonly ca: string;
}

/** Settings of {@link startRedis}. */
export interface RedisOptions extends ServiceOptions {
  /** Speaks TLS only, and asks for a user and a password. */
  readonly secured?: boolean;
  /** Other lines of redis.conf, or other values of ours. */
  readonly settings?: Readonly<Record<string, readonly string[]>>;
}

const USER = { username: 'nanosync', password: 'stack-secret' } as const;

/** Starts Redis with every write on disk before it is acknowledged. */
export async function startRedis(options: RedisOptions): Promise<Service<RedisAddress>> {
  const { command, env } = await findRedis(options.log);
  const { directory } = options;
  const port = options.port ?? (await servicePort());
  mkdirSync(directory, { recursive: true });
  const tls = options.secured === true ? await makeCertificates(join(directory, 'certificates')) : undefined;
  const settings = {
    ...(tls === undefined ? { port: [String(port)] } : securedSettings(port, tls)),
    bind: ['127.0.0.1'],
    dir: [directory],
    appendonly: ['yes'],
    appendfsync: ['always'],
    save: [''],
    maxmemory: ['256mb'],
    'maxmemory-policy': ['noeviction'],
    ...options.settings,
  };
  const place = `127.0.0.1:${port}`;
  const url = tls === undefined ? `redis://${place}` : `rediss://${USER.username}:${USER.password}@${place}`;
  const secured = tls && { ...USER, ca: tls.ca };
  return startService(
    {
      name: 'redis',
      address: { url, host: '127.0.0.1', port, ...(secured && { secured }) },
      launch: { command, env, args: Object.entries(settings).flatMap(([name, values]) => [`--${name}`, ...values]) },
      check: (signal) => ping(port, secured, signal),
    },
    directory,
  );
}

function securedSettings(port: number, { cert, key, ca }: Certificates): Readonly<Record<string, readonly string[]>> {
  return {
    port: ['0'],
    'tls-port': [String(port)],
    'tls-cert-file': [cert],
    'tls-key-file': [key],
    'tls-ca-cert-file': [ca],
    'tls-auth-clients': ['no'],
    user: [USER.username, 'on', `>${USER.password}`, '~*', '&*', '+@all'],
    requirepass: [USER.password],
  };
}

/** PING; a Redis that still loads its file answers with an error. */
export async function ping(port: number, secured: SecuredRedis | undefined, signal: AbortSignal): Promise<void> {
  const target = { host: '127.0.0.1', port };
  const socket = secured === undefined ? connect(target) : connectTls({ ...target, ca: readFileSync(secured.ca) });
  socket.write(secured === undefined ? 'PING\r\n' : `AUTH ${secured.username} ${secured.password}\r\nPING\r\n`);
  const wanted = secured === undefined ? '+PONG\r\n' : '+OK\r\n+PONG\r\n';
  await new Promise<void>((resolve, reject) => {
    let reply = '';
    socket.on('data', (chunk: Buffer) => {
      reply += chunk.toString();
      if (reply === wanted) resolve();
      else if (!wanted.startsWith(reply)) reject(new Error(`PING was answered with ${reply.trim()}`));
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('Redis closed the connection')));
    signal.addEventListener('abort', () => socket.destroy(new Error('Redis did not answer in time')), { once: true });
  }).finally(() => socket.destroy());
}
