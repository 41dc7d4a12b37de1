import type {
  CaptureRecord,
  PartitionRecord,
  PipelineRecord,
  SinkReport,
  State,
  TableId,
  TableRecord,
  TroubleRecord,
  WatchRecord,
} from '@nanosync/core';
import { positionOf, RECORD_VERSION, RUNNING, stateKeys } from '@nanosync/core';
import { describe, expect, it } from 'vitest';
import { pipelineStatus, pipelineStatuses } from './status.ts';

const PIPELINE = 'orders-pipeline';
const TABLE = 'public.orders' as TableId;
const at = (lsn: bigint) => positionOf(lsn, 0n);
const connection = { name: 'c', type: 'postgres', dsn: 'postgres://app:hunter2@h/d', properties: {} };

const pipeline: PipelineRecord = {
  v: RECORD_VERSION,
  definition: {
    name: PIPELINE,
    replicationType: 'cdc_backfill',
    source: { connection, tables: [TABLE, 'public.items'] },
    sink: { connection },
    snapshot: { concurrency: 4, targetRowsPerPartition: 100, maxRowsPerSecond: null },
  },
  phase: 'snapshotting',
  anchor: { id: 'a1', l0: at(10n), origin: {} },
  failure: null,
  waiting: null,
  request: null,
  intent: RUNNING,
  createdMs: 1,
};

const table: TableRecord = {
  v: RECORD_VERSION,
  table: TABLE,
  phase: 'snapshotting',
  anchor: 'a1',
  epoch: 'e1',
  schema: { table: TABLE, columns: [], key: [] },
  storage: '',
  l0: at(10n),
  l1Requested: false,
  partitions: 3,
  voids: 0,
  estimatedRows: 300,
  busPartitions: 4,
  older: null,
  failure: null,
};

const overlap = { inserts: 1, updates: 2, deletes: 3, keyChanges: 4, completed: 5, truncates: 0 };

const capture: CaptureRecord = {
  v: RECORD_VERSION,
  anchor: 'a1',
  session: 2,
  published: at(30n),
  acknowledged: at(29n),
  ends: {},
  topics: {},
  tables: { [TABLE]: { epoch: 'e1', l0: at(10n), l1: at(20n), changes: 9, overlap, quarantined: 0, quarantinedBefore: 0, failure: null } },
  eventsPublished: 9,
  lastCommitMs: 5,
  failure: null,
};

const report: SinkReport = {
  v: RECORD_VERSION,
  epoch: 'e1',
  writer: 'w1',
  built: true,
  current: true,
  rowsBuilt: 250,
  rowsStaged: 250,
  partitionsDurable: 3,
  watermark: at(15n),
  changesApplied: 7,
  waiting: 2,
  waitedAtHandoff: 6,
  quarantined: 0,
  defects: 0,
  lastAppliedMs: 5,
  older: null,
  failure: null,
};

function partition(number: number, phase: PartitionRecord['phase'], attempts: number): PartitionRecord {
  return {
    v: RECORD_VERSION,
    partition: number,
    range: '',
    phase,
    emitted: true,
    attempt: null,
    attempts,
    reader: null,
    rows: 100,
    bytes: 1000,
    voided: null,
  };
}

/** A store with these records; only reading is asked of it. */
function storeOf(records: Readonly<Record<string, unknown>>): State {
  const entries = Object.entries(records).map(([key, value]) => ({ key, value, version: 1 }));
  return {
    get: async (key: string) => entries.find((entry) => entry.key === key),
    list: async (prefix: string) => entries.filter((entry) => entry.key.startsWith(prefix)),
    isLeased: async (name: string) => name.endsWith('/00000002'),
  } as unknown as State;
}

function recordsWith(changes: {
  readonly pipeline?: Partial<PipelineRecord>;
  readonly table?: Partial<TableRecord>;
  readonly capture?: Partial<CaptureRecord>;
  readonly report?: Partial<SinkReport>;
}): Record<string, unknown> {
  return {
    [stateKeys.pipeline(PIPELINE)]: { ...pipeline, ...changes.pipeline },
    [stateKeys.table(PIPELINE, TABLE)]: { ...table, ...changes.table },
    [stateKeys.capture(PIPELINE)]: { ...capture, ...changes.capture },
    [stateKeys.sinkReport(PIPELINE, TABLE)]: { ...report, ...changes.report },
  };
}

describe('the status of a pipeline', () => {
  it('is there from its first record on', async () => {
    const state = storeOf({ [stateKeys.pipeline(PIPELINE)]: { ...pipeline, phase: 'created', anchor: null } });
    expect(await pipelineStatus(state, PIPELINE)).toMatchObject({ phase: 'created', healthy: true, l0: null, l1: null, tables: [] });
    expect(await pipelineStatus(state, 'other')).toBeUndefined();
    expect(await pipelineStatuses(state)).toHaveLength(1);
  });

  it('counts partitions and rows of a running snapshot, from the ledger or the sink, whichever is ahead', async () => {
    const ledger = [
      partition(0, 'durable', 1),
      partition(1, 'read', 3),
      { ...partition(2, 'reading', 1), reader: 'w' },
      partition(3, 'reading', 2),
    ];
    const records = recordsWith({ report: { built: false, partitionsDurable: 2 }, capture: { tables: {} } });
    for (const found of ledger) records[stateKeys.partition(PIPELINE, TABLE, 'e1', found.partition)] = found;
    records[stateKeys.partition(PIPELINE, TABLE, 'older', 0)] = partition(0, 'durable', 9);
    const status = await pipelineStatus(storeOf(records), PIPELINE);
    expect(status?.tables[0]).toMatchObject({
      state: 'snapshotting',
      partitions: { total: 4, planned: 0, reading: 2, read: 1, durable: 2, done: 2, repeated: 2 },
      rows: { estimated: 300, read: 400, staged: 250 },
      reading: [
        { partition: 2, reader: 'w', attempts: 1, held: true },
        { partition: 3, reader: null, attempts: 2, held: false },
      ],
      l0: at(10n),
      l1: null,
    });
    expect(status).toMatchObject({
      ...{ partitionsRepeated: 2, l0: at(10n), l1: null },
      source: { connection: 'c', type: 'postgres' },
    });
  });

  it('says what is missing of a copy that was stopped, until the next one has taken its place', async () => {
    const ledger = Object.fromEntries(
      [0, 1, 2].map((number) => [
        stateKeys.partition(PIPELINE, TABLE, 'e1', number),
        { ...partition(number, 'planned', 0), range: `${number}:` },
      ]),
    );
    const missingOf = async (change: Partial<TableRecord>) =>
      (await pipelineStatus(storeOf({ ...recordsWith({ table: change }), ...ledger }), PIPELINE))?.tables[0]?.missing;
    expect(await missingOf({})).toBeNull();
    expect(await missingOf({ missing: [[1, 2]] })).toEqual({ partitions: 2, of: 3, ranges: ['1:', '2:'] });
    expect(await missingOf({ missing: [], partitions: 0 })).toEqual({ partitions: 0, of: 0, ranges: [] });
    const older = { epoch: 'e0', schema: table.schema, storage: '', quarantinedBefore: 0, missing: [[1, 2]] as const, partitions: 3 };
    expect(await missingOf({ older })).toEqual({ partitions: 2, of: 3, ranges: [] });
  });

  it('is catching up below L1 and live from there on', async () => {
    const below = await pipelineStatus(storeOf(recordsWith({ table: { phase: 'built' } })), PIPELINE);
    expect(below?.tables[0]).toMatchObject({ state: 'catching up', l1: at(20n), waitingChanges: 2, waitedAtHandoff: 6, overlap });
    const reached = recordsWith({ table: { phase: 'built' }, report: { watermark: at(20n) } });
    expect((await pipelineStatus(storeOf(reached), PIPELINE))?.tables[0]?.state).toBe('live');
    expect(below).toMatchObject({ l1: at(20n), changesApplied: 7, changesPublished: 9, healthy: true });
  });

  it('shows nothing of another epoch as if it were this one’s', async () => {
    const status = await pipelineStatus(storeOf(recordsWith({ table: { epoch: 'e2', l0: null } })), PIPELINE);
    expect(status?.tables[0]).toMatchObject({ l0: null, l1: null, watermark: null, changesApplied: 0, rows: { built: 0 } });
  });

  it.each<[string, Parameters<typeof recordsWith>[0]]>([
    ['a failed pipeline', { pipeline: { phase: 'failed', failure: { reason: 'r', cure: 'c' } } }],
    ['a failed table', { table: { phase: 'failed', failure: { reason: 'r', cure: 'c' } } }],
    ['a capture that stopped', { capture: { failure: { reason: 'r', cure: 'c' } } }],
    ['a sink that failed', { report: { failure: { reason: 'r', cure: 'c' } } }],
    ['a row in quarantine', { report: { quarantined: 1 } }],
    ['a counted defect', { report: { defects: 1 } }],
  ])('is not healthy with %s', async (_name, changes) => {
    expect((await pipelineStatus(storeOf(recordsWith(changes)), PIPELINE))?.healthy).toBe(false);
  });

  it('has lag, rates and what the source keeps, of the anchor that it has, and says how old they are', async () => {
    const bus = { topic: 't', next: [3], last: [at(15n)] };
    const mark = (atMs: number, applied: number) => ({
      ...{ atMs, tables: { [TABLE]: { epoch: 'e1', rows: 250, published: 9, applied } } },
    });
    const kept = { keptBytes: 5, limitBytes: 50, leftBytes: 45, setting: 'limit', state: 'safe' } as const;
    const watch: WatchRecord = {
      ...{ v: RECORD_VERSION, anchor: 'a1', writtenMs: 20_000, failure: null, behind: { [TABLE]: 21 } },
      counts: [mark(10_000, 0), mark(20_000, 70)],
      source: { ...kept, askedMs: 20_000, end: at(36n) },
      trail: [10_000, 20_000].map((atMs, step) => ({ atMs, end: at(step === 0 ? 15n : 36n), keptBytes: 5 * (step + 1) })),
    };
    const records = { ...recordsWith({ capture: { ends: { t: [4] } }, report: { bus } }), [stateKeys.watch(PIPELINE)]: watch };
    const status = await pipelineStatus(storeOf(records), PIPELINE, 21_000);
    expect(status).toMatchObject({
      lag: { seconds: 11, atLeast: false, bytes: 21 },
      perSecond: { rows: 0, published: 0, applied: 7 },
      retention: { state: 'safe', leftBytes: 45, growthBytesPerSecond: 0.5, secondsLeft: 90 },
      figures: { sourceSeconds: 1, plannerSeconds: 1, old: false, failure: null },
      waitingChanges: 1,
    });
    const other = { ...records, [stateKeys.watch(PIPELINE)]: { ...watch, anchor: 'a0' } };
    expect(await pipelineStatus(storeOf(other), PIPELINE, 21_000)).toMatchObject({ lag: null, perSecond: null, retention: null });
  });

  it('is not healthy while the source may drop what was not read', async () => {
    const healthy = async (state: string) => {
      const source = { end: at(1n), state, keptBytes: 1, limitBytes: 1, leftBytes: 0, setting: 's', askedMs: 1 };
      const watch = { v: RECORD_VERSION, anchor: 'a1', writtenMs: 1, counts: [], source, trail: [], behind: {}, failure: null };
      return (await pipelineStatus(storeOf({ ...recordsWith({}), [stateKeys.watch(PIPELINE)]: watch }), PIPELINE, 1))?.healthy;
    };
    expect([await healthy('safe'), await healthy('unlimited'), await healthy('none')]).toEqual([true, true, true]);
    expect([await healthy('at risk'), await healthy('lost')]).toEqual([false, false]);
  });

  it('is not healthy once a service has not worked for a minute, or has a trouble that does not pass', async () => {
    const trouble = { v: RECORD_VERSION, service: 'sink-writer', reason: 'away', manual: false, sinceMs: 1000 };
    const healthy = async (change: Partial<TroubleRecord>, nowMs: number) => {
      const records = { ...recordsWith({}), [stateKeys.trouble(PIPELINE, 'sink-writer')]: { ...trouble, ...change } };
      return (await pipelineStatus(storeOf(records), PIPELINE, nowMs))?.healthy;
    };
    expect(await healthy({}, 60_999)).toBe(true);
    expect(await healthy({}, 61_000)).toBe(false);
    expect(await healthy({ manual: true }, 1000)).toBe(false);
  });

  it('is plain JSON, in the file’s order, without connections', async () => {
    const items = { ...table, table: 'public.items' as TableId };
    const records = { [stateKeys.table(PIPELINE, 'public.items')]: items, ...recordsWith({}) };
    const status = await pipelineStatus(storeOf(records), PIPELINE);
    expect(status?.tables.map((found) => found.table)).toEqual(['public.orders', 'public.items']);
    expect(JSON.parse(JSON.stringify(status))).toEqual(status);
    expect(JSON.stringify(status)).not.toContain('hunter2');
  });
});
