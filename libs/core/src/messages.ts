import type { RecordOf } from './avro/record.ts';
import { RecordCodec } from './avro/record.ts';

/**
 * A partition task: read this range of this table once. Sent by the planner on `nanosync.tasks`, may arrive again; the
 * worker takes the partition by compare-and-set in `state` before it reads. `range` is opaque outside the source.
 */
export const PARTITION_TASK = new RecordCodec('nanosync.PartitionTask', {
  pipeline: 'string',
  table: 'string',
  epoch: 'string',
  partition: 'int',
  partitions: 'int',
  /** The number to show: partitions are numbered in the order they start. */
  order: 'int',
  range: 'string',
} as const);
export type PartitionTask = RecordOf<typeof PARTITION_TASK extends RecordCodec<infer F> ? F : never>;

/**
 * One encoded block of many rows. `block` is `rows` Avro records (each its origin, then its columns), one after the other, compressed
 * with `codec` ("null" or "zstandard", Avro's names); nothing between worker and sink looks inside. (epoch, partition,
 * attempt, batch) names it: a second delivery carries the same bytes.
 */
export const ROW_BATCH = new RecordCodec('nanosync.RowBatch', {
  table: 'string',
  epoch: 'string',
  partition: 'int',
  attempt: 'string',
  batch: 'int',
  rows: 'int',
  codec: 'string',
  /** Registry id of the rows' own schema. */
  rowSchemaId: 'int',
  block: 'bytes',
} as const);
export type RowBatch = RecordOf<typeof ROW_BATCH extends RecordCodec<infer F> ? F : never>;

/** Ends one attempt at a partition: it is complete when batches 0 to `batches`-1, `rows` rows in all, are durable. */
export const END_MARKER = new RecordCodec('nanosync.EndMarker', {
  table: 'string',
  epoch: 'string',
  partition: 'int',
  attempt: 'string',
  batches: 'int',
  rows: 'int',
  /** Rows that could not be encoded and went to the quarantine topic. */
  quarantined: 'int',
} as const);
export type EndMarker = RecordOf<typeof END_MARKER extends RecordCodec<infer F> ? F : never>;

/** What could not be applied: where it came from, why, and its bytes as they were met. */
export const QUARANTINED = new RecordCodec('nanosync.Quarantined', {
  table: 'string',
  epoch: 'string',
  /** Where it came from: a position, or a partition and attempt. */
  origin: 'string',
  reason: 'string',
  payload: 'bytes',
} as const);
export type Quarantined = RecordOf<typeof QUARANTINED extends RecordCodec<infer F> ? F : never>;

/**
 * What a bus partition of a change topic carries besides row changes. Every control event is sent to all bus partitions of
 * its table at the same position.
 *
 * - `generation`: what follows belongs to this epoch, until the next one. `detail` is empty.
 * - `consistency`: L1 of the epoch.
 * - `schema`: the source's columns are now those in `detail` (JSON of a TableSchema).
 * - `watermark`: every commit strictly below `position` is already in this bus partition.
 */
export const CONTROL_EVENT = new RecordCodec('nanosync.ControlEvent', {
  kind: 'string',
  table: 'string',
  anchor: 'string',
  epoch: 'string',
  position: 'string',
  session: 'int',
  tsMs: 'int',
  detail: 'string',
} as const);
export type ControlKind = 'generation' | 'consistency' | 'schema' | 'watermark';
export type ControlEvent = RecordOf<typeof CONTROL_EVENT extends RecordCodec<infer F> ? F : never> & { readonly kind: ControlKind };
