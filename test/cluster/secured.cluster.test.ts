import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterStack, makeCertificates, removeStack, startAuthProxy, startKafka, startRedis } from '@nanosync/testkit';
import { afterAll, expect, it } from 'vitest';
import { nanosync } from '../e2e/nanosync-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanosync-secured-'));
afterAll(() => removeStack(folder));

it('engines that ask for TLS and passwords are entered as the server file says', { timeout: 300_000 }, async () => {
  const { registry: upstream } = await clusterStack('registry');
  await using redis = await startRedis({ directory: join(folder, 'redis'), secured: true });
  await using kafka = await startKafka({ directory: join(folder, 'kafka'), secured: true });
  const certificates = await makeCertificates(join(folder, 'registry'));
  await using registry = await startAuthProxy({ upstream: upstream.url, username: 'u', password: 'p-registry', tls: certificates });
  const { secured } = kafka.address;
  const { secured: acl, port } = redis.address;
  if (secured === undefined || acl === undefined) throw new Error('the engines are not secured');
  const config = join(folder, 'server.yaml');
  const health = async (mechanism: string, change: (text: string) => string = (text) => text) => {
    const text = `bus:
  kafka:
    brokers: ${JSON.stringify(secured.saslTls)}
    replication_factor: 1
    tls: { ca: ${secured.ca} }
    sasl: { mechanism: ${mechanism}, username: ${secured.username}, password: "\${env:KAFKA}" }
  registry: { url: "${registry.url}", username: u, password: "\${env:REGISTRY}", tls: { ca: ${certificates.ca} } }
state:
  redis: { url: "rediss://127.0.0.1:${port}", username: ${acl.username}, password: "\${env:REDIS}", tls: { ca: ${acl.ca} } }
`;
    writeFileSync(config, change(text));
    return nanosync(['health', '--config', config], {
      KAFKA: secured.password,
      REGISTRY: 'p-registry',
      REDIS: acl.password,
      WRONG: 'mistaken',
    });
  };
  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'])
    expect(await health(mechanism)).toEqual({ status: 0, out: 'state store, bus and schema registry answer\n', err: '' });
  for (const [name, sentence] of [
    ['KAFKA', /Kafka|bus|broker/i],
    ['REGISTRY', /registry/],
    ['REDIS', /Redis at .* refuses this user and password/],
  ] as const) {
    const { status, out, err } = await health('scram-sha-512', (text) => text.replace(`env:${name}}`, 'env:WRONG}'));
    expect({ name, status, out, lines: err.trimEnd().split('\n').length }).toEqual({ name, status: 2, out: '', lines: 1 });
    expect(err).toMatch(sentence);
    expect(err).not.toContain('mistaken');
  }
  const untrusted = await health('plain', (text) => text.replace(`tls: { ca: ${acl.ca} }`, 'tls: true'));
  expect(untrusted).toMatchObject({ status: 2, err: expect.stringContaining('cannot be trusted over TLS') });
});
