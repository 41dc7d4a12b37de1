import { mkdtempSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startAuthProxy } from './auth-proxy.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { clusterStack } from './cluster-stack.ts';
import { startKafka } from './kafka.ts';
import { startRedis } from './redis.ts';
import { removeStack } from './stack.ts';

const directory = mkdtempSync(join(tmpdir(), 'nanosync-secured-'));
afterAll(() => removeStack(directory));

test('Redis asks for TLS, a user and a password', { timeout: 300_000 }, async () => {
  await using redis = await startRedis({ directory: join(directory, 'redis'), secured: true });
  const { port, secured } = redis.address;
  await expect(redis.check()).resolves.toBeUndefined();
  await expect(talk(port, secured?.ca, 'PING\r\n')).resolves.toMatch(/^-NOAUTH/);
  await expect(talk(port, undefined, 'PING\r\n')).rejects.toThrow(/certificate/);
});

test('Kafka has listeners that ask for TLS', { timeout: 300_000 }, async () => {
  await using kafka = await startKafka({ directory: join(directory, 'kafka'), secured: true });
  const { secured } = kafka.address;
  for (const place of [secured?.tls[0], secured?.saslTls[0]]) {
    const port = Number(place?.split(':')[1]);
    await expect(talk(port, undefined, '')).rejects.toThrow(/certificate/);
    await expect(talk(port, secured?.ca, '')).resolves.toBe('');
  }
});

describe('the schema registry behind a password', () => {
  let tls: Certificates;
  beforeAll(async () => {
    tls = await makeCertificates(join(directory, 'registry'));
  });

  test('answers those who know it, over TLS', { timeout: 300_000 }, async () => {
    const { registry } = await clusterStack('registry');
    await using proxy = await startAuthProxy({ upstream: registry.url, username: 'u', password: 'p', tls });
    const status = (auth: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const asked = request(`${proxy.url}/subjects`, { auth, ca: readFileSync(tls.ca) }, (reply) => resolve(reply.resume().statusCode));
        asked.once('error', reject).end();
      });
    expect([await status('u:p'), await status('u:x')]).toEqual([200, 401]);
  });
});

/** What a server says over TLS to `words`; without words only the handshake counts. */
function talk(port: number, ca: string | undefined, words: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ...(ca !== undefined && { ca: readFileSync(ca) }) });
  return new Promise<string>((resolve, reject) => {
    socket.once('secureConnect', () => (words === '' ? resolve('') : socket.write(words)));
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString()));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  }).finally(() => socket.destroy());
}
