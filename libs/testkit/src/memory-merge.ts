import type { GenerationStatus, KeyedRows, Row, StagedPartition, TableSchema } from '@nanosync/core';
import { ChangeCodec, keyIndexes, PipelineError, sameSchema } from '@nanosync/core';
import type { Epoch, Generation } from './memory-tables.ts';

/** What is kept of an epoch whose rows were written over those of a generation. */
export interface Merged {
  readonly rows: number;
  readonly quarantined: number;
  readonly schema: TableSchema;
}

/** The rows of an epoch's complete partitions. */
export function completeRows(epoch: Epoch, complete: readonly StagedPartition[]): readonly Row[] {
  const attempts = new Map(complete.map(({ partition, attempt }) => [partition, attempt]));
  return [...epoch.batches.values()].flatMap(({ batch, rows }) => (attempts.get(batch.partition) === batch.attempt ? rows : []));
}

/** Rows without a cell of the key, and keys that stand in several rows. */
export function keyFaultsOf(rows: readonly Row[], { schema }: KeyedRows): { readonly nulls: number; readonly doubled: number } {
  const keyAt = keyIndexes(schema);
  const codec = new ChangeCodec(schema);
  const whole = rows.filter((cells) => keyAt.every((index) => cells[index] !== null));
  const counts = new Map<string, number>();
  for (const cells of whole) {
    const key = codec.key(cells).toString('latin1');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return { nulls: rows.length - whole.length, doubled: [...counts.values()].filter((count) => count > 1).length };
}

/** Writes rows over those of the generation that has the name. */
export function mergeInto(target: Generation | undefined, rows: readonly Row[], request: Parameters<typeof requireSame>[1]): void {
  if (target === undefined) throw new PipelineError('conflict', `no generation of ${request.generation.table} has its name.`);
  requireSame(target, request);
  for (const cells of rows) target.rows.set(target.codec.key(cells).toString('latin1'), { cells, position: request.l0 });
}

function requireSame(target: Generation, { generation, schema }: KeyedRows & { readonly l0: Generation['progress'][0]['last'] }): void {
  if (!sameSchema(target.schema, schema))
    throw new PipelineError('table-changed', `rows of ${generation.table} have other columns or keys.`);
}

/** A merged epoch counts as one that users see. */
export function mergedStatus({ rows, quarantined, schema }: Merged): GenerationStatus {
  return { rowsBuilt: rows, current: true, changesApplied: 0, quarantined, defects: 0, topicId: '', schema, progress: [] };
}
