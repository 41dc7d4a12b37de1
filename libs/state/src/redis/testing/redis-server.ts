import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RedisAddress, Service } from '@nanosync/testkit';
import { startRedis } from '@nanosync/testkit';

/** A Redis that a test disturbs. */
export interface RedisServer extends AsyncDisposable {
  readonly service: Service<RedisAddress>;
  readonly url: string;
  readonly port: number;
  /** Runs one command over a connection of its own, as this user where one is named, and returns the raw reply. */
  command(...words: readonly string[]): Promise<string>;
}

/** Starts a Redis of our own; `settings` are lines of redis.conf. */
export async function startRedisServer(settings: Readonly<Record<string, readonly string[]>> = {}): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'nanosync-redis-'));
  const service = await startRedis({ directory, settings });
  const { url, port } = service.address;
  return {
    service,
    url,
    port,
    command: (...words) => ask(port, words),
    [Symbol.asyncDispose]: async () => {
      await service.kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Sends a command and returns the reply as it came. */
function ask(port: number, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString();
    });
    socket.on('close', () => resolve(received));
    for (const command of [words, ['QUIT']])
      socket.write(`*${command.length}\r\n${command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
  });
}
