import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CaptureRecord, PipelineRecord } from '@nanosync/core';
import { readRecord, stateKeys, updateRecord } from '@nanosync/core';
import { openRedisState } from '@nanosync/state/redis';
import type { RedisAddress, Service } from '@nanosync/testkit';
import { startRedis } from '@nanosync/testkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ModelCluster, PIPELINE } from './model-cluster.ts';

const SOON = { timeout: 60_000 };
vi.setConfig({ testTimeout: 180_000 });

let folder: string;
let redis: Service<RedisAddress>;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nanosync-redis-loss-'));
  redis = await startRedis({ directory: join(folder, 'redis') });
});
afterEach(async () => {
  await redis.kill();
  rmSync(folder, { recursive: true, force: true });
});

function open(): Promise<ModelCluster> {
  return ModelCluster.open({ url: redis.address.url }, 6);
}

async function untilLive(cluster: ModelCluster): Promise<void> {
  await vi.waitUntil(async () => cluster.isEqual && (await cluster.pipeline())?.phase === 'streaming', SOON);
}

async function published(cluster: ModelCluster): Promise<number> {
  const record = await readRecord<CaptureRecord>(cluster.state, stateKeys.capture(PIPELINE));
  return record?.value.eventsPublished ?? 0;
}

/** Failures of the state store are waited out here as services do. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if ((error as { kind?: string }).kind !== 'unavailable') throw error;
    }
  }
}

it('killed and started again under running services, Redis has lost nothing and they go on', async () => {
  await using cluster = await open();
  const process = await cluster.start();
  await untilLive(cluster);
  for (let round = 0; round < 3; round++) {
    cluster.insert(5);
    await redis.kill();
    cluster.insert(5);
    await redis.start();
    await vi.waitUntil(() => cluster.isEqual, SOON);
  }
  expect((await patiently(() => cluster.pipeline()))?.failure).toBeNull();
  expect(process.said.join('\n')).not.toMatch(/error|gone/);
});

it('comes back without its last second: what the store forgot comes again, and nobody has to repair anything', async () => {
  await using cluster = await open();
  const process = await cluster.start();
  await untilLive(cluster);
  cluster.insert(3);
  await vi.waitUntil(() => cluster.isEqual, SOON);
  const [data, copy] = [join(folder, 'redis'), join(folder, 'copy')];
  const before = await published(cluster);
  cpSync(data, copy, { recursive: true });
  const copiedMs = performance.now();
  cluster.insert(20);
  await vi.waitUntil(async () => cluster.isEqual && (await published(cluster)) >= before + 20, { ...SOON, interval: 10 });
  await redis.kill();
  expect(performance.now() - copiedMs).toBeLessThan(2900);
  rmSync(data, { recursive: true });
  cpSync(copy, data, { recursive: true });
  await redis.start();
  expect(await patiently(() => published(cluster))).toBeLessThan(before + 20);
  cluster.insert(5);
  await vi.waitUntil(() => cluster.isEqual, SOON);
  await vi.waitUntil(async () => (await published(cluster)) >= before + 25, SOON);
  expect(await cluster.pipeline()).toMatchObject({ phase: 'streaming', failure: null });
  expect(process.said.join('\n')).not.toMatch(/error|moved|lost/);
});

it('that loses everything is said, and the cures that are named cure it', async () => {
  await using cluster = await open();
  const process = await cluster.start();
  await untilLive(cluster);
  await redis.kill();
  rmSync(join(folder, 'redis', 'appendonlydir'), { recursive: true });
  await redis.start();
  cluster.insert(5);
  await vi.waitUntil(() => process.said.some((line) => line.startsWith('error pipeline is gone from the state store')), SOON);
  expect(process.said.join('\n')).toContain(`nanosync apply -f pipelines.yaml, then: nanosync pipeline resnapshot ${PIPELINE}`);
  await patiently(() => cluster.apply());
  await vi.waitUntil(async () => (await cluster.pipeline())?.phase === 'failed', SOON);
  expect((await cluster.pipeline())?.failure).toEqual({
    reason: expect.stringContaining(`The state store does not know pipeline ${PIPELINE}, yet`),
    cure: `Run: nanosync pipeline resnapshot ${PIPELINE}`,
  });
  await using operator = await openRedisState({ url: redis.address.url });
  await updateRecord<PipelineRecord>(operator, stateKeys.pipeline(PIPELINE), (record) => ({ ...record, request: 'resnapshot' }));
  await untilLive(cluster);
});
