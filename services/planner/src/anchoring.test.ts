import type { Anchor, GenerationId, PipelineRecord, ServiceContext, Sink, Source, TableRecord } from '@nanosync/core';
import { positionOf, RECORD_VERSION, RUNNING, readRecord, stateKeys, topicsOf } from '@nanosync/core';
import { FakeClock, ORDERS, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { anchorPipeline } from './anchoring.ts';
import { LooseAnchors } from './loose-anchors.ts';

const L0 = positionOf(100n, 0n);
const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };
const CREATED: PipelineRecord = {
  v: RECORD_VERSION,
  definition: {
    name: 'p',
    replicationType: 'cdc_backfill',
    source: { connection: CONNECTION, tables: [ORDERS.table] },
    sink: { connection: CONNECTION },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  },
  ...{ phase: 'created', anchor: null, failure: null, waiting: null, request: null, intent: RUNNING, createdMs: 0 },
};

/** A pipeline that is to be anchored, and what happens meanwhile, in order. */
async function anchoring(generations: readonly { epoch: string }[] = []) {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` } });
  const happened: string[] = [];
  const source = {
    check: async () => [],
    discover: async () => [{ schema: ORDERS, storage: 's', estimatedRows: 1 }],
    anchor: async (_: string, id: string) => {
      happened.push('anchored');
      return { id, l0: L0, origin: { slot: `slot ${id}` } };
    },
    tidy: async () => {},
    drop: async ({ id }: Anchor) => void happened.push(`dropped ${id}`),
  } as unknown as Source;
  const sink = {
    check: async () => [],
    shows: async () => false,
    generations: async () => generations,
    discard: async ({ epoch }: GenerationId) => void happened.push(`discarded ${epoch}`),
  } as unknown as Sink;
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const ctx = {
    ...{ state, bus, registry, topics: topicsOf(), clock, log, tasksBusPartitions: 1, changesBusPartitions: 2 },
    ...{ ids: { next: () => `i${++ids}` }, failpoint: () => {} },
  } as unknown as ServiceContext;
  await state.put(stateKeys.pipeline('p'), CREATED, 0);
  const pipeline = async () => (await readRecord<PipelineRecord>(state, stateKeys.pipeline('p')))!;
  const table = async () => (await readRecord<TableRecord>(state, stateKeys.table('p', ORDERS.table)))?.value;
  const loose = new LooseAnchors(ctx, 'p');
  return { ctx, parts: { source, sink, loose }, happened, pipeline, table, state, bus };
}

test('anchor and tables are stored in one write, once the slot is there', async () => {
  const { ctx, parts, happened, pipeline, table } = await anchoring();
  const epochs = await anchorPipeline(ctx, await pipeline(), parts);
  expect(happened).toEqual(['anchored']);
  const { anchor, phase } = (await pipeline()).value;
  expect(phase).toBe('anchored');
  expect(anchor?.l0).toBe(L0);
  expect(await table()).toMatchObject({ anchor: anchor?.id, epoch: epochs[0], l0: L0, phase: 'planned', busPartitions: 2 });
});

test.each([true, false])('a stop of copies is of the anchor before, and what users see under the name is noted: %s', async (shown) => {
  const { ctx, parts, pipeline, table } = await anchoring();
  const asked = await pipeline();
  const value: PipelineRecord = { ...asked.value, request: 'resnapshot', copyStopped: true };
  const sink = { ...parts.sink, shows: async () => shown };
  await anchorPipeline(ctx, { ...asked, value }, { ...parts, sink });
  expect((await pipeline()).value.copyStopped).toBeUndefined();
  expect(await table()).toMatchObject({ phase: 'planned', replaces: shown });
});

test('an anchor that another planner stored meanwhile stays: of two slots one is worthless', async () => {
  const { ctx, parts, happened, pipeline, table, state } = await anchoring();
  const before = await pipeline();
  await anchorPipeline(ctx, before, parts);
  const stored = await pipeline();
  await expect(anchorPipeline(ctx, before, parts)).rejects.toMatchObject({ kind: 'conflict' });
  expect(await pipeline()).toEqual(stored);
  expect((await table())?.anchor).toBe(stored.value.anchor?.id);
  const [, ...later] = happened;
  expect(later).toEqual(['anchored', expect.stringMatching(/^dropped /)]);
  expect(later).not.toContain(`dropped ${stored.value.anchor?.id}`);
  expect(await state.get(stateKeys.pipeline('p'))).toBeDefined();
});

test('a planner that wakes up late discards nothing of the epochs that another one has stored meanwhile', async () => {
  const { ctx, parts, happened, pipeline, state } = await anchoring();
  const { key, value, version } = await pipeline();
  await state.put(key, { ...value, request: 'resnapshot' }, version);
  const before = await pipeline();
  await anchorPipeline(ctx, before, parts);
  await expect(anchorPipeline(ctx, before, parts)).rejects.toMatchObject({ kind: 'conflict' });
  expect(happened).toEqual(['anchored']);
});

test.each(['topic', 'sink'] as const)('a pipeline that the store forgot is not begun over what its %s has', async (where) => {
  const { ctx, parts, happened, pipeline, table, bus } = await anchoring(where === 'sink' ? [{ epoch: 'old' }] : []);
  if (where === 'topic') {
    await bus.ensureTopic(ctx.topics.changes('p', ORDERS.table), 1);
    await using producer = await bus.producer();
    await producer.send(ctx.topics.changes('p', ORDERS.table), 0, [{ key: Buffer.alloc(0), value: Buffer.from('old') }]);
  }
  const beginning = anchorPipeline(ctx, await pipeline(), parts);
  await expect(beginning).rejects.toMatchObject({ kind: 'gap', hint: 'Run: nanosync pipeline resnapshot p' });
  expect(happened).toEqual([]);
  // Unless that is what was asked for.
  const asked = await pipeline();
  await anchorPipeline(ctx, { ...asked, value: { ...asked.value, request: 'resnapshot' } }, parts);
  expect(happened).toEqual(['anchored']);
  // A topic keeps the number of bus partitions that it was made with.
  expect((await table())?.busPartitions).toBe(where === 'topic' ? 1 : 2);
});

test('a planner that was stopped while the type was edited takes nothing of what follows changes by now', async () => {
  const { ctx, parts, pipeline, bus } = await anchoring();
  const { key, value, version } = await pipeline();
  const copies: PipelineRecord = { ...value, definition: { ...value.definition, replicationType: 'snapshot' }, request: 'resnapshot' };
  await ctx.state.put(key, copies, version);
  const before = await pipeline();
  const topic = ctx.topics.changes('p', ORDERS.table);
  const taken: string[] = [];
  const source: Source = {
    ...parts.source,
    release: async (_, still) => {
      taken.push(`released ${await still()}`);
      // It is stopped here: the type is edited, and another planner begins.
      await ctx.state.put(key, { ...copies, definition: value.definition }, before.version);
      await anchorPipeline(ctx, await pipeline(), parts);
    },
  };
  await expect(anchorPipeline(ctx, before, { ...parts, source })).rejects.toMatchObject({ kind: 'conflict' });
  expect(taken).toEqual(['released true']);
  expect(await bus.topic(topic)).toBeDefined();
});
