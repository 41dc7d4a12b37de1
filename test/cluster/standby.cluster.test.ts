import { randomUUID } from 'node:crypto';
import { listRecords, stateKeys } from '@nanosync/core';
import { clusterStack } from '@nanosync/testkit';
import { expect, it, vi } from 'vitest';
import { ModelCluster, PIPELINE } from './model-cluster.ts';

const SOON = { timeout: 40_000 };

it('the second of every service stands by without a word and takes over when the first dies', { timeout: 180_000 }, async () => {
  const { redis } = await clusterStack('redis');
  await using cluster = await ModelCluster.open({ url: redis.url, keyPrefix: `standby-${randomUUID()}` }, 5);
  const first = await cluster.start();
  await vi.waitUntil(async () => cluster.isEqual && (await cluster.pipeline())?.phase === 'streaming', SOON);

  const second = await cluster.start();
  // Some rounds of each of its loops.
  await vi.waitUntil(() => second.calls() > 60, SOON);
  cluster.insert(2);
  await vi.waitUntil(() => cluster.isEqual, SOON);
  expect(second.said.filter((line) => !line.includes('share of the work'))).toEqual([]);
  expect(await listRecords(cluster.state, stateKeys.troubles(PIPELINE))).toEqual([]);
  expect(first.said.filter((line) => !line.startsWith('info'))).toEqual([]);

  await first.kill();
  cluster.insert(2);
  await vi.waitUntil(() => cluster.isEqual, SOON);
  expect((await cluster.pipeline())?.phase).toBe('streaming');
  expect(second.said.filter((line) => !line.startsWith('info'))).toEqual([]);
  expect(second.said.join('\n')).toContain('capture session begins');
  expect(cluster.db.rowsOf(cluster.db.tableIds()[0]!)).toHaveLength(9);
});
