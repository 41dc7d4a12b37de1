import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { servicePort } from './port.ts';
import { findRedis } from './redis-install.ts';
import { type Service, type ServiceOptions, startService } from './service.ts';

/** Where a Redis is. */
export interface RedisAddress {
  readonly url: string;
  readonly host: string;
  readonly port: number;
}

/** Starts Redis with every write on disk before it is acknowledged. */
export async function startRedis(options: ServiceOptions): Promise<Service<RedisAddress>> {
  const { command, env } = await findRedis(options.log);
  const port = options.port ?? (await servicePort());
  mkdirSync(options.directory, { recursive: true });
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    dir: options.directory,
    appendonly: 'yes',
    appendfsync: 'always',
    save: '',
    maxmemory: '256mb',
    'maxmemory-policy': 'noeviction',
  };
  return startService(
    {
      name: 'redis',
      address: { url: `redis://127.0.0.1:${port}`, host: '127.0.0.1', port },
      launch: { command, env, args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]) },
      check: (signal) => ping(port, signal),
    },
    options.directory,
  );
}

/** PING; a Redis that still loads its file answers with an error. */
async function ping(port: number, signal: AbortSignal): Promise<void> {
  const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
  const reply = await new Promise<string>((resolve, reject) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString()));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('Redis closed the connection')));
    signal.addEventListener('abort', () => socket.destroy(new Error('Redis did not answer in time')), { once: true });
  }).finally(() => socket.destroy());
  if (!reply.startsWith('+PONG')) throw new Error(`PING was answered with ${reply.trim()}`);
}
