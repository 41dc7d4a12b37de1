import type { FenceWait, PipelineRecord, ServiceContext, Sink, Source, TableRecord, TroubleRecord } from '@nanosync/core';
import { PipelineError, positionOf, RECORD_VERSION, RUNNING, readRecord, stateKeys, topicsOf, updateRecord } from '@nanosync/core';
import { FakeClock, ORDERS, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { PipelinePlanner } from './pipeline-planner.ts';

const L0 = positionOf(100n, 0n);
const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };
const ADDED = 'public.added';
const OTHER = 'public.other';
const HOLDER: FenceWait = { holder: 'process 7', ageSeconds: 3, cure: 'SELECT pg_terminate_backend(7);' };

function pipelineOf(tables: readonly string[], change: Partial<PipelineRecord> = {}): PipelineRecord {
  return {
    v: RECORD_VERSION,
    definition: {
      name: 'p',
      replicationType: 'cdc_backfill',
      source: { connection: CONNECTION, tables },
      sink: { connection: CONNECTION },
      snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
    },
    ...{ phase: 'streaming', anchor: { id: 'a', l0: L0, origin: {} }, recorded: [ORDERS.table] },
    ...{ failure: null, waiting: null, request: null, intent: RUNNING, createdMs: 0 },
    ...change,
  };
}

const FOLLOWING: TableRecord = {
  ...{ v: RECORD_VERSION, table: ORDERS.table, phase: 'following', anchor: 'a', epoch: 'e1', schema: ORDERS, storage: 's', l0: L0 },
  ...{ l1Requested: true, partitions: 1, voids: 0, estimatedRows: 1, busPartitions: 1, older: null, failure: null },
};

/** A live pipeline to which tables come, and planners for it. */
async function adding(tables: readonly string[], change: Partial<PipelineRecord> = {}) {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` } });
  const happened: string[] = [];
  const discovered: unknown[] = [];
  const unfit = new Set<string>();
  const locked = new Set<string>();
  const opened = { fence: Promise.resolve(), beforeDiscovery: async () => {} };
  const source = {
    check: async (_: string, [table = '']: readonly string[]) =>
      unfit.has(table) ? [{ what: `Table ${table} has no key.`, cure: `ALTER TABLE ${table} ADD PRIMARY KEY (...);` }] : [],
    discover: async (names: readonly string[], columns?: unknown) => {
      discovered.push(columns);
      await opened.beforeDiscovery();
      return names.map((table) => ({ schema: { ...ORDERS, table }, storage: 's', estimatedRows: 1 }));
    },
    extend: async (_: string, names: readonly string[], { signal, onWait }: Parameters<Source['extend']>[2]) => {
      happened.push(`extended by ${names.join()}`);
      if (names.some((name) => locked.has(name)))
        throw new PipelineError('conflict', 'A lock stayed taken.', { hint: 'End who holds it.' });
      onWait([HOLDER]);
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      await Promise.race([opened.fence, aborted]);
      signal.throwIfAborted();
    },
    tidy: async () => {},
    drift: async () => [],
    mark: async ({ kind }: { kind: string }) => void happened.push(`marked ${kind}`),
    fence: async () => void happened.push('fenced'),
    partition: async () => ['0:'],
    [Symbol.asyncDispose]: async () => {},
  } as unknown as Source;
  const sink = { check: async () => [], shows: async () => false, [Symbol.asyncDispose]: async () => {} } as unknown as Sink;
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const ctx = {
    ...{ state, bus, registry, topics: topicsOf(), clock, log, tasksBusPartitions: 1, changesBusPartitions: 2 },
    ...{ ids: { next: () => `i${++ids}` }, failpoint: () => {}, signal: new AbortController().signal },
    ...{ openSource: async () => source, openSink: async () => sink },
  } as unknown as ServiceContext;
  await bus.ensureTopic(ctx.topics.tasks, 1);
  await state.put(stateKeys.pipeline('p'), pipelineOf(tables, change), 0);
  await state.put(stateKeys.table('p', ORDERS.table), FOLLOWING, 0);
  const pipeline = async () => (await readRecord<PipelineRecord>(state, stateKeys.pipeline('p')))!.value;
  const table = async (name: string) => (await readRecord<TableRecord>(state, stateKeys.table('p', name)))?.value;
  return {
    ...{ happened, discovered, unfit, locked, opened, pipeline, table, state, clock },
    planner: () => new PipelinePlanner(ctx, 'p'),
    trouble: async () => (await readRecord<TroubleRecord>(state, stateKeys.trouble('p', 'planner')))?.value,
    /** Steps until this holds, or often. */
    until: async (planner: PipelinePlanner, done: () => Promise<boolean>) => {
      for (let turn = 0; turn < 60 && !(await done()); turn++) {
        await planner.step();
        await clock.advance(100);
      }
      return done();
    },
  };
}

test('a table that comes is streamed first, then recorded without L0, then marked, fenced and read; the phase says so', async () => {
  const { happened, pipeline, table, planner, until } = await adding([ORDERS.table, ADDED]);
  await using one = planner();
  expect(await until(one, async () => (await table(ADDED))?.phase === 'snapshotting')).toBe(true);
  expect(happened).toEqual([`extended by ${ADDED}`, 'marked generation', 'fenced']);
  expect(await table(ADDED)).toMatchObject({ anchor: 'a', l0: null, partitions: 1, busPartitions: 2 });
  expect(await pipeline()).toMatchObject({ phase: 'snapshotting', recorded: [ORDERS.table, ADDED], waiting: null });
  expect(await table(ORDERS.table)).toEqual(FOLLOWING);
});

test('while transactions are waited for status names them, and nothing else waits', async () => {
  const { opened, pipeline, table, planner, until, state } = await adding([ORDERS.table, ADDED]);
  const fence = Promise.withResolvers<void>();
  opened.fence = fence.promise;
  await using one = planner();
  expect(await until(one, async () => (await pipeline()).waiting !== null)).toBe(true);
  const { waiting, phase } = await pipeline();
  expect(waiting).toBe(`Adding ${ADDED} waits for transactions that began before: process 7, 3 s; to end it: ${HOLDER.cure}`);
  expect(phase).toBe('streaming');
  // The rounds go on: what capture reports is acted on.
  const failure = { reason: 'The slot is gone.', cure: 'Run: nanosync pipeline resnapshot p' };
  await state.put(stateKeys.capture('p'), { v: RECORD_VERSION, anchor: 'a', tables: {}, failure }, 0);
  await one.step();
  expect(await pipeline()).toMatchObject({ phase: 'failed', failure });
  expect(await table(ADDED)).toBeUndefined();
});

test('a table that cannot be copied waits with its cure, and the others that came do not', async () => {
  const { unfit, table, planner, until, trouble, pipeline } = await adding([ORDERS.table, ADDED, OTHER]);
  unfit.add(ADDED);
  await using one = planner();
  expect(await until(one, async () => (await table(OTHER))?.phase === 'snapshotting' && (await trouble()) !== undefined)).toBe(true);
  expect(await trouble()).toMatchObject({
    manual: true,
    reason: `Table ${ADDED} cannot be added yet: Table ${ADDED} has no key. ALTER TABLE ${ADDED} ADD PRIMARY KEY (...);`,
  });
  expect((await pipeline()).recorded).toEqual([ORDERS.table, OTHER]);
  unfit.delete(ADDED);
  expect(await until(one, async () => (await table(ADDED))?.phase === 'snapshotting' && (await trouble()) === undefined)).toBe(true);
});

test('what a table lacks is said also while another one waits for transactions', async () => {
  const { unfit, opened, planner, until, trouble, pipeline } = await adding([ORDERS.table, ADDED, OTHER]);
  unfit.add(ADDED);
  opened.fence = new Promise(() => {});
  await using one = planner();
  expect(await until(one, async () => (await trouble()) !== undefined && (await pipeline()).waiting !== null)).toBe(true);
  expect((await trouble())?.reason).toContain(`Table ${ADDED} cannot be added yet`);
  expect((await pipeline()).waiting).toContain(`Adding ${OTHER} waits`);
});

test('a table that stays locked does not keep out those that came with it', async () => {
  const { locked, happened, table, planner, until, trouble, pipeline } = await adding([ORDERS.table, ADDED, OTHER]);
  locked.add(ADDED);
  await using one = planner();
  expect(await until(one, async () => (await table(OTHER))?.phase === 'snapshotting' && (await trouble()) !== undefined)).toBe(true);
  expect(happened.slice(0, 3)).toEqual([`extended by ${ADDED},${OTHER}`, `extended by ${ADDED}`, `extended by ${OTHER}`]);
  expect((await trouble())?.reason).toBe(`Table ${ADDED} cannot be added yet: A lock stayed taken. End who holds it.`);
  expect((await pipeline()).recorded).toEqual([ORDERS.table, OTHER]);
  locked.delete(ADDED);
  expect(await until(one, async () => (await table(ADDED))?.phase === 'snapshotting')).toBe(true);
});

test('two planners at once add a table once', async () => {
  const { table, planner, until, pipeline } = await adding([ORDERS.table, ADDED]);
  await using one = planner();
  await using two = planner();
  for (let turn = 0; turn < 20; turn++) await Promise.allSettled([one.step(), two.step()]);
  expect(await until(one, async () => (await table(ADDED))?.phase === 'snapshotting')).toBe(true);
  expect((await pipeline()).recorded).toEqual([ORDERS.table, ADDED]);
});

test('what was decided under one anchor is stored under no other', async () => {
  const { opened, table, planner, state, pipeline } = await adding([ORDERS.table, ADDED]);
  opened.beforeDiscovery = async () => {
    const key = stateKeys.pipeline('p');
    const before = await readRecord<PipelineRecord>(state, key);
    await state.put(key, { ...before!.value, anchor: { id: 'b', l0: L0, origin: {} } }, before!.version);
  };
  await using one = planner();
  for (let turn = 0; turn < 5 && (await pipeline()).anchor?.id === 'a'; turn++) await one.step();
  expect(await table(ADDED)).toBeUndefined();
  expect((await pipeline()).recorded).toEqual([ORDERS.table]);
});

test.each<[string, (of: PipelineRecord['definition']) => PipelineRecord['definition']]>([
  ['columns kept back', (of) => ({ ...of, source: { ...of.source, columns: { [ADDED]: { exclude: ['amount'], hash: [] } } } })],
  ['a copy', (of) => ({ ...of, replicationType: 'cdc' })],
])('what was decided about %s before transactions were waited for is stored only if the file still says so', async (_, edited) => {
  const { opened, table, planner, state, discovered, until } = await adding([ORDERS.table, ADDED]);
  let edits = 0;
  opened.beforeDiscovery = async () => {
    if (++edits !== 2) return; // The first look is before the wait.
    await updateRecord<PipelineRecord>(state, stateKeys.pipeline('p'), (record) => ({ ...record, definition: edited(record.definition) }));
  };
  await using one = planner();
  expect(await until(one, async () => (await table(ADDED)) !== undefined)).toBe(true);
  const { replicationType, source } = edited(pipelineOf([]).definition);
  expect(discovered.at(-1)).toEqual(source.columns);
  expect(discovered.length).toBe(4);
  expect((await table(ADDED))?.adopts).toBe(replicationType === 'cdc' ? true : undefined);
});

test('a table whose record is gone is not taken for one that comes', async () => {
  const { planner, happened, table } = await adding([ORDERS.table, ADDED], { recorded: [ORDERS.table, ADDED] });
  await using one = planner();
  for (let turn = 0; turn < 5; turn++) await one.step();
  expect(happened).toEqual([]);
  expect(await table(ADDED)).toBeUndefined();
});

test('while a table that comes waits for transactions and the others for the sink, the record says the one and is not written in turn', async () => {
  const { opened, pipeline, planner, until, state } = await adding([ORDERS.table, ADDED], { phase: 'snapshotting' });
  const fence = Promise.withResolvers<void>();
  opened.fence = fence.promise;
  const put = async (key: string, value: unknown) => state.put(key, value, (await state.get(key))?.version ?? 0);
  await put(stateKeys.table('p', ORDERS.table), { ...FOLLOWING, phase: 'snapshotting', l1Requested: false, partitions: 2 });
  const range = { v: RECORD_VERSION, range: '0:', attempt: null, attempts: 0, reader: null, rows: 1, voided: null };
  const read = { ...range, partition: 0, phase: 'read', emitted: true, bytes: 257 * 1024 * 1024 };
  await put(stateKeys.partition('p', ORDERS.table, 'e1', 0), read);
  await put(stateKeys.partition('p', ORDERS.table, 'e1', 1), { ...range, partition: 1, phase: 'planned', emitted: false, bytes: 0 });
  await using one = planner();
  expect(await until(one, async () => (await pipeline()).waiting?.startsWith(`Adding ${ADDED} waits`) === true)).toBe(true);
  const version = (await state.get(stateKeys.pipeline('p')))?.version;
  for (let turn = 0; turn < 5; turn++) await one.step();
  expect((await state.get(stateKeys.pipeline('p')))?.version).toBe(version);
  fence.resolve();
  expect(await until(one, async () => (await pipeline()).waiting?.startsWith('The snapshot waits for the sink') === true)).toBe(true);
});
