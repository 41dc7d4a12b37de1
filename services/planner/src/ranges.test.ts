import type { FenceWait, PartitionRecord, PipelineRecord, ServiceContext, Source, TableRecord, TableSchema } from '@nanosync/core';
import { listRecords, positionOf, RECORD_VERSION, RUNNING, stateKeys, tableIdOf } from '@nanosync/core';
import { FakeClock, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { Ledger } from './ledger.ts';
import { planRanges, renewEpoch, voidPlan } from './ranges.ts';
import { TaskPublisher } from './task-publisher.ts';
import { emitTasks } from './tasks.ts';

const TABLE = tableIdOf('public', 't');
const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, with: () => QUIET } as unknown as ServiceContext['log'];

/** A planner's surroundings: a table that waits for its ranges, and a source whose fence a test opens. */
async function planning(options: {
  readonly l0: boolean;
  readonly concurrency?: number;
  readonly mayLoseMs?: number;
  readonly columns?: TableSchema['columns'];
}) {
  const clock = new FakeClock();
  const state = await openMemoryState({ clock, mayLoseMs: options.mayLoseMs ?? 0 });
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => 'id' } });
  await bus.ensureTopic('tasks', 1);
  let ids = 0;
  const ending = new AbortController();
  const told: (string | null)[] = [];
  const calls: string[] = [];
  const fence = Promise.withResolvers<void>();
  const holder: FenceWait = { holder: 'process 7', ageSeconds: 3, cure: 'SELECT pg_terminate_backend(7);' };
  const source = {
    mark: async ({ kind }: { kind: string }) => void calls.push(`mark ${kind}`),
    fence: async ({ onWait }: Parameters<Source['fence']>[0]) => {
      calls.push('fence');
      onWait([holder]);
      await fence.promise;
      calls.push('fence passed');
    },
    partition: async (_: unknown, { whole }: { whole: boolean }) => {
      calls.push('partition');
      return whole ? ['whole'] : ['0:10', '10:20', '20:'];
    },
    discover: async () => [
      { schema: { table: TABLE, columns: options.columns ?? [], key: [] }, storage: 'another file', estimatedRows: 40 },
    ],
  } as unknown as Source;
  const ctx = {
    state,
    bus,
    registry,
    clock,
    log: QUIET,
    topics: { tasks: 'tasks' },
    tasksBusPartitions: 1,
    failpoint: () => {},
    signal: ending.signal,
    ids: { next: () => `e${++ids}` },
  };
  const record = {
    ...{
      v: RECORD_VERSION,
      table: TABLE,
      phase: 'planned',
      anchor: 'a',
      epoch: 'e',
      schema: { table: TABLE, columns: [], key: [] },
      storage: '',
    },
    ...{
      l0: options.l0 ? positionOf(1n, 0n) : null,
      l1Requested: false,
      partitions: 0,
      voids: 0,
      estimatedRows: 30,
      busPartitions: 1,
      older: null,
      failure: null,
    },
  } as const;
  const key = stateKeys.table('p', TABLE);
  const version = (await state.put(key, record, 0)) as number;
  const snapshot = { concurrency: options.concurrency ?? 4, targetRowsPerPartition: 10 };
  const pipeline = { definition: { name: 'p', source: { tables: [] }, snapshot }, intent: RUNNING };
  const parts = {
    ...{
      ctx: ctx as unknown as ServiceContext,
      pipeline: pipeline as unknown as PipelineRecord,
      source,
      fresh: new Set(['e']),
      tasks: new TaskPublisher(ctx as unknown as ServiceContext),
    },
    waiting: async (text: string | null) => void told.push(text),
  };
  const ledger = async (epoch = 'e') =>
    (await listRecords<PartitionRecord>(state, stateKeys.partitions('p', TABLE, epoch))).map(({ value }) => value);
  return {
    parts,
    tables: [{ key, value: record as TableRecord, version }],
    calls,
    told,
    fence,
    ledger,
    state,
    bus,
    clock,
    end: () => ending.abort(),
  };
}

test('no range is stored before the fence has been passed; status names who holds it and the statement that ends it', async () => {
  const { parts, tables, calls, told, fence, ledger, state } = await planning({ l0: true });
  const planned = planRanges({ ...parts, tables });
  await new Promise((resolve) => setImmediate(resolve));
  expect(calls).toEqual(['fence']);
  expect(await ledger()).toEqual([]);
  expect(told.join()).toMatch(/process 7, 3 s; to end it: SELECT pg_terminate_backend\(7\);/);
  fence.resolve();
  await planned;
  expect(calls).toEqual(['fence', 'fence passed', 'partition']);
  expect((await ledger()).map(({ range }) => range)).toEqual(['0:10', '10:20', '20:']);
  expect((await state.get(tables[0]?.key ?? ''))?.value).toMatchObject({ phase: 'snapshotting', partitions: 3 });
});

test('what the file keeps back since transactions were waited for is in no range that is handed out', async () => {
  const { parts, tables, calls, fence, ledger, state } = await planning({ l0: true });
  const { definition } = parts.pipeline;
  const edited = { ...definition, source: { ...definition.source, columns: { [TABLE]: { exclude: ['x'], hash: [] } } } };
  const planned = planRanges({ ...parts, tables });
  await state.put(stateKeys.pipeline('p'), { ...parts.pipeline, definition: edited }, 0);
  fence.resolve();
  await expect(planned).rejects.toMatchObject({ kind: 'conflict' });
  expect(calls).toEqual(['fence', 'fence passed']);
  expect(await ledger()).toEqual([]);
  expect(parts.fresh.has('e')).toBe(true);
});

test('a planner that is stopped while it waits at the fence hands out nothing', async () => {
  const { parts, tables, fence, ledger, end } = await planning({ l0: true });
  const planned = planRanges({ ...parts, tables });
  end();
  fence.resolve();
  await planned;
  expect(await ledger()).toEqual([]);
});

test('a table that adopts keeps its epoch, whoever plans it, and nothing of it is fenced or read', async () => {
  const { parts, tables, calls, ledger, state } = await planning({ l0: false });
  const stored = { ...tables[0]!, value: { ...tables[0]!.value, adopts: true as const } };
  const another = { ...parts, fresh: new Set<string>() };
  expect(await renewEpoch(another, stored)).toBe(stored);
  await planRanges({ ...another, tables: [stored] });
  expect(calls).toEqual(['mark generation']);
  expect(await ledger()).toEqual([]);
  expect((await state.get(stored.key))?.value).toMatchObject({ phase: 'snapshotting', epoch: 'e', partitions: 0, adopts: true });
});

test('a later epoch is marked in the log before its fence', async () => {
  const { parts, tables, calls, fence } = await planning({ l0: false });
  fence.resolve();
  await planRanges({ ...parts, tables });
  expect(calls).toEqual(['mark generation', 'fence', 'fence passed', 'partition']);
});

test('the marker of a table that capture has not met waits until the store cannot lose the table any more', async () => {
  const { parts, tables, calls, fence, state, clock } = await planning({ l0: false, mayLoseMs: 1000 });
  fence.resolve();
  const planned = planRanges({ ...parts, tables });
  await clock.advance(999);
  expect(calls).toEqual([]);
  await clock.advance(1);
  await planned;
  expect(calls[0]).toBe('mark generation');
  await state.put(stateKeys.capture('p'), { v: RECORD_VERSION, tables: { [TABLE]: {} } }, 0);
  calls.length = 0;
  const again = { ...tables[0]!, ...(await state.get(tables[0]!.key))! };
  await renewEpoch(parts, { ...again, value: { ...tables[0]!.value, l0: null } }).then((one) => planRanges({ ...parts, tables: [one] }));
  expect(calls[0]).toBe('mark generation');
});

test('a task that a worker gave back is sent again at once, and counts for nothing until then', async () => {
  const { parts, tables, fence, state, bus } = await planning({ l0: true, concurrency: 1 });
  fence.resolve();
  await planRanges({ ...parts, tables });
  const table = (await state.get(tables[0]?.key ?? ''))?.value as TableRecord;
  const open = [{ table, ledger: await Ledger.load(parts.ctx, 'p', table) }];
  await emitTasks({ ...parts, open });
  const key = stateKeys.partition('p', TABLE, 'e', 0);
  const out = await state.get(key);
  await state.put(key, { ...(out?.value as PartitionRecord), phase: 'reading', attempt: 'a', emitted: false }, out?.version ?? 0);
  const loaded = await Ledger.load(parts.ctx, 'p', table);
  expect([loaded.inFlight, loaded.peek()?.value.partition]).toEqual([0, 0]);
  await open[0]?.ledger.refresh();
  await emitTasks({ ...parts, open });
  expect((await bus.topic('tasks'))?.partitions[0]?.end).toBe(2);
  expect((await state.get(key))?.value).toMatchObject({ emitted: true, phase: 'reading' });
});

test('no more tasks go out than the pipeline’s concurrency, and none while too much waits for the sink', async () => {
  const { parts, tables, fence, ledger, state, bus } = await planning({ l0: true, concurrency: 1 });
  fence.resolve();
  await planRanges({ ...parts, tables });
  const table = (await state.get(tables[0]?.key ?? ''))?.value as TableRecord;
  const open = [{ table, ledger: await Ledger.load(parts.ctx, 'p', table) }];
  const emitted = async () => (await bus.topic('tasks'))?.partitions[0]?.end;
  await emitTasks({ ...parts, open });
  await emitTasks({ ...parts, open });
  expect(await emitted()).toBe(1);
  const key = stateKeys.partition('p', TABLE, 'e', 0);
  const stored = await state.get(key);
  const [first] = await ledger();
  await state.put(key, { ...first, phase: 'read', bytes: 257 * 1024 * 1024 }, stored?.version ?? 0);
  await open[0]?.ledger.refresh();
  expect(await emitTasks({ ...parts, open })).toContain('waits for the sink');
  expect(await emitted()).toBe(1);
  const read = await state.get(key);
  await state.put(key, { ...(read?.value as PartitionRecord), phase: 'durable' }, read?.version ?? 0);
  await open[0]?.ledger.refresh();
  await emitTasks({ ...parts, open });
  expect(await emitted()).toBe(2);
});

test('a void plan gets a new epoch with an L0 of its own, and after two the table is read as one range', async () => {
  const { parts, tables, calls, fence, ledger, state } = await planning({ l0: true });
  fence.resolve();
  const table = async () => {
    const stored = await state.get(tables[0]?.key ?? '');
    return { key: stored?.key ?? '', value: stored?.value as TableRecord, version: stored?.version ?? 0 };
  };
  const epochs = ['e'];
  await planRanges({ ...parts, tables });
  for (const voids of [1, 2]) {
    await voidPlan({ ...parts, stored: await table(), reason: 'it was rewritten' });
    const { value } = await table();
    expect(value).toMatchObject({ phase: 'planned', l0: null, storage: 'another file', partitions: 0, voids });
    expect(epochs).not.toContain(value.epoch);
    epochs.push(value.epoch);
    calls.length = 0;
    await planRanges({ ...parts, tables: [await table()] });
    expect(calls).toEqual(['mark generation', 'fence', 'fence passed', 'partition']);
  }
  expect(await Promise.all(epochs.map(async (epoch) => (await ledger(epoch)).map(({ range }) => range)))).toEqual([
    ['0:10', '10:20', '20:'],
    ['0:10', '10:20', '20:'],
    ['whole'],
  ]);
});

test('a table that was rewritten with other columns is not planned anew: a person must say so', async () => {
  const column = { name: 'added', type: { kind: 'text' } } as const;
  const { parts, tables, fence, state } = await planning({ l0: true, columns: [column] });
  fence.resolve();
  await planRanges({ ...parts, tables });
  const stored = await state.get(tables[0]?.key ?? '');
  const table = { key: stored?.key ?? '', value: stored?.value as TableRecord, version: stored?.version ?? 0 };
  const voided = voidPlan({ ...parts, stored: table, reason: 'it was rewritten' });
  await expect(voided).rejects.toMatchObject({ kind: 'table-changed', hint: 'Run: nanosync pipeline resnapshot p' });
  expect(await state.get(tables[0]?.key ?? '')).toEqual(stored);
});
