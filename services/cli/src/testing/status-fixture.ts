import type { Position } from '@nanosync/core';
import { RUNNING } from '@nanosync/core';
import type { PipelineStatus, TableStatus } from '@nanosync/runtime';

/** A place in the source's log. */
export const at = (lsn: string) => `${lsn.padStart(16, '0')}/${'5'.padStart(16, '0')}` as Position;
const lag = { seconds: 7, atLeast: false, bytes: 4_100_000 };
const perSecond = { rows: 0, published: 120.4, applied: 118.2 };

/** A table that follows changes. */
export const live: TableStatus = {
  ...{
    table: 'public.orders',
    phase: 'following',
    state: 'live',
    epoch: 'e',
    l0: at('575E220'),
    l1: at('575E2F8'),
    watermark: at('57A0000'),
  },
  adopts: false,
  partitions: { planned: 0, reading: 0, read: 0, durable: 5, total: 5, done: 5, repeated: 0 },
  rows: { estimated: 20_000, read: 20_000, staged: 20_000, built: 20_000 },
  ...{
    reading: [],
    bytesRead: 1,
    secondsLeft: null,
    lag,
    perSecond,
    changesPublished: 9,
    changesApplied: 3211,
    waitingChanges: 12,
    waitedAtHandoff: 0,
  },
  overlap: { inserts: 0, updates: 0, deletes: 0, keyChanges: 0, completed: 0, truncates: 0 },
  ...{ quarantined: 0, defects: 0, lastAppliedMs: 0, older: null, missing: null, failure: null },
};

/** A table that is copied. */
export const copying: TableStatus = {
  ...live,
  ...{ table: 'public.order_items', phase: 'snapshotting', state: 'snapshotting', l1: null, watermark: null, lag: null, secondsLeft: 113 },
  partitions: { planned: 92, reading: 2, read: 4, durable: 30, total: 128, done: 34, repeated: 2 },
  rows: { estimated: 8_000_000, read: 2_100_000, staged: 1_900_000, built: 0 },
  perSecond: { rows: 52_000, published: 0, applied: 0 },
};

/** A pipeline of both. */
export const pipeline = {
  ...{
    name: 'orders-pipeline',
    type: 'cdc_backfill',
    source: { connection: 'prod-postgres', type: 'postgres' },
    sink: { connection: 'warehouse', type: 'duckdb' },
    phase: 'snapshotting',
    troubles: [],
    healthy: true,
    l0: at('575E220'),
    l1: null,
    published: null,
    session: 1,
  },
  ...{ lag, perSecond: { rows: 52_000, published: 120.4, applied: 118.2 }, secondsLeft: 113 },
  retention: {
    ...{ state: 'safe', keptBytes: 48e6, limitBytes: 1e9, leftBytes: 976e6, growthBytesPerSecond: 80_000, secondsLeft: 12_200 },
    setting: 'max_slot_wal_keep_size',
  },
  figures: { sourceSeconds: 2, plannerSeconds: 2, old: false, failure: null },
  ...{
    intent: RUNNING,
    waiting: null,
    request: null,
    copyStops: false,
    toAdd: [],
    leaving: [],
    toCopy: [],
    failure: null,
    rowsBuilt: 0,
    changesPublished: 0,
    changesApplied: 0,
    waitingChanges: 0,
  },
  ...{ partitionsRepeated: 0, quarantined: 0, defects: 0, tables: [live, copying], query: null },
} as unknown as PipelineStatus;
