import type {
  Marker,
  PartitionPhase,
  PartitionRecord,
  PipelineRecord,
  ServiceContext,
  SinkReport,
  Source,
  TableRecord,
} from '@nanosync/core';
import { PipelineError, positionOf, RECORD_VERSION, RUNNING, readRecord, stateKeys, topicsOf } from '@nanosync/core';
import { at, FakeClock, ORDERS, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { TablePlanner } from './table-planner.ts';
import { TaskPublisher } from './task-publisher.ts';

const L0 = positionOf(100n, 0n);
const PIPELINE = {
  ...{ definition: { name: 'p', source: { tables: [ORDERS.table] }, snapshot: { concurrency: 1, targetRowsPerPartition: 10 } } },
  ...{ phase: 'snapshotting', anchor: { id: 'a', l0: L0, origin: {} }, intent: RUNNING },
} as unknown as PipelineRecord;
const TABLE: TableRecord = {
  ...{ v: RECORD_VERSION, table: ORDERS.table, phase: 'snapshotting', anchor: 'a', epoch: 'e1', schema: ORDERS, storage: 's', l0: L0 },
  ...{ l1Requested: true, partitions: 0, voids: 0, estimatedRows: 1, busPartitions: 1, older: null, failure: null },
};

const PARTITION: PartitionRecord = {
  ...{ v: RECORD_VERSION, partition: 0, range: '0:', phase: 'planned', emitted: true, attempt: 'x', attempts: 1, reader: null },
  ...{ rows: 1, bytes: 1, voided: null },
};

/** A table as stored, with what capture and sink say of it, and one round of the planner over it. */
async function planning(
  record: TableRecord,
  options: { readonly drift?: string; readonly ranges?: readonly PartitionPhase[]; readonly failsAt?: number } = {},
) {
  const clock = new FakeClock();
  const stored = openMemoryState({ clock });
  let writes = 0;
  const state = new Proxy(stored, {
    get: (target, name) => {
      if (name === 'putAll' && ++writes === options.failsAt)
        return () => Promise.reject(new PipelineError('unavailable', 'The state store is away.'));
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  let ids = 0;
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` } });
  const happened: string[] = [];
  const source = {
    drift: async () => (options.drift === undefined ? [] : [{ table: ORDERS.table, reason: options.drift }]),
    mark: async ({ kind, ...marker }: Marker) => void happened.push(`${kind} ${'epoch' in marker ? marker.epoch : ''}`),
    fence: async () => void happened.push('fence'),
    discover: async () => [{ schema: ORDERS, storage: 'another file', estimatedRows: 1 }],
    partition: async () => Array.from({ length: options.failsAt === undefined ? 1 : 501 }, (_, range) => `${range}:`),
  } as unknown as Source;
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const ctx = {
    ...{ state, bus, registry, topics: topicsOf(), clock, log, tasksBusPartitions: 1 },
    ...{ ids: { next: () => `i${++ids}` }, failpoint: () => {}, signal: new AbortController().signal },
  } as unknown as ServiceContext;
  await bus.ensureTopic(ctx.topics.tasks, 1);
  await state.put(stateKeys.table('p', ORDERS.table), record, 0);
  const put = async (partition: number, phase: PartitionPhase, voided: string | null = null) => {
    const key = stateKeys.partition('p', ORDERS.table, 'e1', partition);
    await state.put(key, { ...PARTITION, partition, phase, voided }, (await state.get(key))?.version ?? 0);
  };
  for (const [partition, phase] of (options.ranges ?? []).entries()) await put(partition, phase);
  // Its first tables are planned before anything else goes on.
  const pipeline: PipelineRecord = { ...PIPELINE, phase: record.phase === 'planned' ? 'anchored' : 'snapshotting' };
  const fresh = new Set<string>();
  const planner = await TablePlanner.open({ ctx, source, tasks: new TaskPublisher(ctx), fresh, waiting: async () => {} }, pipeline);
  return {
    happened,
    put,
    step: (change: Partial<PipelineRecord> = {}) => planner.step({ ...pipeline, ...change }),
    table: async () => (await readRecord<TableRecord>(state, stateKeys.table('p', ORDERS.table)))!.value,
    report: (epoch: string, watermark: SinkReport['watermark'], built = true, current = built, more: Partial<SinkReport> = {}) =>
      state.put(stateKeys.sinkReport('p', ORDERS.table), { epoch, built, current, watermark, ...more }, 0),
    forget: (partition: number) => state.remove(stateKeys.partition('p', ORDERS.table, 'e1', partition)),
    capture: (epoch: string, l1: SinkReport['watermark']) =>
      state.put(stateKeys.capture('p'), { anchor: 'a', tables: { [ORDERS.table]: { epoch, l1 } } }, 0),
  };
}

test('a copy that is stopped gets no tasks, its L1 at once, and moves on with what the sink says is missing', async () => {
  const { step, table, put, report, happened } = await planning(
    { ...TABLE, l1Requested: false, partitions: 3 },
    { ranges: ['read', 'reading', 'planned'] },
  );
  const stop = { copyStopped: true } as const;
  expect(await step(stop)).toMatchObject({ planned: true, allBuilt: false });
  expect(await table()).toMatchObject({ phase: 'snapshotting', missing: [[1, 2]], l1Requested: true });
  expect(happened).toEqual(['consistency e1']);
  await put(1, 'durable'); // Too late: it is settled.
  await step();
  expect(await table()).toMatchObject({ phase: 'snapshotting', missing: [[1, 2]] });
  await report('e1', at(100), true, true, { without: [[1, 2]] });
  expect(await step()).toMatchObject({ allBuilt: true });
  expect(await table()).toMatchObject({ phase: 'built', missing: [[1, 2]] });
});

test('a table that was built without what the store knows nothing of is a gap', async () => {
  const { step, report } = await planning({ ...TABLE, partitions: 2 }, { ranges: ['read', 'read'] });
  await report('e1', at(100), true, true, { without: [[1, 1]] });
  await expect(step()).rejects.toMatchObject({ kind: 'gap', hint: 'Run: nanosync pipeline resnapshot p' });
});

test('what the sink says of an earlier epoch moves nothing', async () => {
  const { step, table, report, happened } = await planning(TABLE);
  await report('e0', at(200));
  await step();
  expect((await table()).phase).toBe('snapshotting');
  expect(happened).toEqual([]);
});

test('a table is built when the sink says so, and its consistency position is asked for if it was not yet', async () => {
  const staged = await planning(TABLE);
  await staged.report('e1', at(150), false);
  await staged.step();
  expect((await staged.table()).phase).toBe('snapshotting');
  const built = await planning({ ...TABLE, l1Requested: false, partitions: 1 }, { ranges: ['reading'] });
  await built.report('e1', at(150));
  await built.step();
  expect(built.happened).toEqual(['consistency e1']);
  expect(await built.table()).toMatchObject({ phase: 'snapshotting', l1Requested: true });
  await built.step();
  expect((await built.table()).phase).toBe('built');
  expect(built.happened).toHaveLength(1);
});

test('a range that was found rewritten voids the plan', async () => {
  const { step, table, put } = await planning({ ...TABLE, l1Requested: false, partitions: 2 }, { ranges: ['read', 'reading'] });
  await step();
  await put(1, 'reading', 'it was rewritten');
  await step();
  const { epoch, ...rest } = await table();
  expect(epoch).not.toBe('e1');
  expect(rest).toMatchObject({ phase: 'planned', l0: null, partitions: 0, voids: 1 });
});

test('partitions that the state store has lost are a gap, before and while they are read', async () => {
  const gap = { kind: 'gap', hint: 'Run: nanosync pipeline resnapshot p' };
  await expect(planning({ ...TABLE, partitions: 2 }, { ranges: ['read'] })).rejects.toMatchObject(gap);
  const { step, forget } = await planning({ ...TABLE, partitions: 2 }, { ranges: ['read', 'reading'] });
  await step();
  await forget(1);
  // Whoever meets that looks at all of them again, and then it is a gap.
  await expect(step()).rejects.toMatchObject({ kind: 'conflict' });
});

test('a table is live only once the sink has passed the consistency position of this epoch', async () => {
  const behind = await planning({ ...TABLE, phase: 'built' });
  await behind.report('e1', at(150));
  await behind.capture('e1', at(160));
  await behind.step();
  expect((await behind.table()).phase).toBe('built');
  const earlier = await planning({ ...TABLE, phase: 'built' });
  await earlier.report('e1', at(150));
  await earlier.capture('e0', at(120));
  await earlier.step();
  expect((await earlier.table()).phase).toBe('built');
  const passed = await planning({ ...TABLE, phase: 'built' });
  await passed.report('e1', at(160));
  await passed.capture('e1', at(160));
  await passed.step();
  expect((await passed.table()).phase).toBe('following');
});

test('a table is live with what the sink itself says is missing, whatever its writer told when it was built', async () => {
  const more = { without: [[1, 2]] } as const;
  const known = await planning({ ...TABLE, phase: 'built', partitions: 3, missing: [[2, 2]] });
  await known.report('e1', at(160), true, true, more);
  await known.capture('e1', at(160));
  await known.step();
  expect(await known.table()).toMatchObject({ phase: 'following', missing: [[1, 2]] });
  const lost = await planning({ ...TABLE, phase: 'built', partitions: 3 });
  await lost.report('e1', at(160), true, true, more);
  await lost.capture('e1', at(160));
  await expect(lost.step()).rejects.toMatchObject({ kind: 'gap', hint: 'Run: nanosync pipeline resnapshot p' });
});

test('ranges that another planner may have handed out get an epoch of their own, marked in the log before its fence', async () => {
  const { step, table, happened } = await planning({ ...TABLE, phase: 'planned', l1Requested: false });
  await step();
  const { epoch, l0, phase } = await table();
  expect(epoch).not.toBe('e1');
  expect(l0).toBeNull();
  expect(phase).toBe('snapshotting');
  expect(happened).toEqual([`generation ${epoch}`, 'fence']);
});

test('a table that is no longer what was planned ends the pipeline with the command that repairs it', async () => {
  const { step } = await planning(TABLE, { drift: 'The columns changed.' });
  await expect(step()).rejects.toMatchObject({ kind: 'table-changed', hint: 'Run: nanosync pipeline resnapshot p' });
});

test('the consistency position is asked for once every range has been read, and not before', async () => {
  const { step, table, put, happened } = await planning({ ...TABLE, l1Requested: false, partitions: 2 }, { ranges: ['read', 'reading'] });
  await step();
  expect(happened).toEqual([]);
  await put(1, 'read');
  await step();
  expect(happened).toEqual(['consistency e1']);
  expect((await table()).l1Requested).toBe(true);
});

test('ranges that were stored in part are given up with their epoch', async () => {
  const { step, table, happened } = await planning({ ...TABLE, phase: 'planned', l1Requested: false }, { failsAt: 2 });
  await expect(step()).rejects.toMatchObject({ kind: 'unavailable' });
  const { epoch } = await table();
  await step();
  expect(await table()).toMatchObject({ phase: 'snapshotting', partitions: 501 });
  expect((await table()).epoch).not.toBe(epoch);
  expect(happened.filter((each) => each === 'fence')).toHaveLength(2);
});
