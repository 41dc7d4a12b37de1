import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterStack } from '@nanosync/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nanosync, startNanosync } from '../e2e/nanosync-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanosync-services-'));
const config = join(folder, 'server.yaml');
let addresses: Record<'kafka' | 'registry' | 'redis', string>;

/** Writes a server file in which some addresses are others. */
function serverFile(changed: Partial<typeof addresses> = {}, name = 'server.yaml'): string {
  const { kafka, registry, redis } = { ...addresses, ...changed };
  const prefix = `p${randomUUID()}`;
  const file = join(folder, name);
  writeFileSync(
    file,
    `bus:
  kafka: { brokers: ["${kafka}"], topic_prefix: ${prefix}, replication_factor: 1 }
  registry: { url: "${registry}" }
state:
  redis: { url: "${redis}", key_prefix: ${prefix} }
api: { listen: "127.0.0.1:0" }
`,
  );
  return file;
}

beforeAll(async () => {
  const { kafka, registry, redis } = await clusterStack('kafka', 'registry', 'redis');
  addresses = { kafka: kafka.brokers[0] ?? '', registry: registry.url, redis: redis.url };
  serverFile();
});
afterAll(() => rmSync(folder, { recursive: true }));

it('each service serves as a process, says that it is well, and ends orderly at SIGTERM', { timeout: 180_000 }, async () => {
  const health = join(folder, 'health');
  const names = ['planner', 'snapshot-worker', 'cdc-capture', 'sink-writer'];
  const processes = names.map((name) => {
    const file = name === 'planner' ? ['--health-file', health] : [];
    return startNanosync(['service', name, '--config', config, '--log-format', 'human', ...file]);
  });
  await Promise.all(processes.map((running, at) => running.until(new RegExp(`^nanosync ${names[at]} serving — Ctrl-C to stop`, 'm'))));
  expect(await nanosync(['health', '--health-file', health])).toMatchObject({ status: 0, out: 'the services of this process run\n' });
  for (const { child } of processes) child.kill('SIGTERM');
  for (const { ended } of processes) {
    const { status, out, err } = await ended;
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out.trimEnd().split('\n').at(-1)).toBe('INF nanosync stopped');
  }
  expect(await nanosync(['health', '--health-file', health])).toMatchObject({ status: 1 });
});

describe('engines', { timeout: 180_000 }, () => {
  it('that all answer are well', async () => {
    expect(await nanosync(['health', '--config', config])).toEqual({
      status: 0,
      out: 'state store, bus and schema registry answer\n',
      err: '',
    });
  });

  it.each([
    ['kafka', '127.0.0.1:1', /Kafka|bus|broker/i],
    ['registry', 'http://127.0.0.1:1', /registry/],
    ['redis', 'redis://127.0.0.1:1', /^Redis at 127.0.0.1:1 does not answer/],
  ] as const)('of which %s does not answer are refused in one sentence with its cure', async (name, address, sentence) => {
    const file = serverFile({ [name]: address }, `${name}.yaml`);
    for (const command of [['service', 'planner'], ['health']]) {
      const { status, out, err } = await nanosync([...command, '--config', file]);
      expect({ command, status, out }).toEqual({ command, status: 2, out: '' });
      expect(err).toMatch(sentence);
      expect(err.trimEnd().split('\n')).toHaveLength(1);
    }
  });
});
