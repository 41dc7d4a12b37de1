import type { PartitionRecord, PipelineRecord, State, TableRecord } from '@nanosync/core';
import { listRecords, recordedTables, stateKeys } from '@nanosync/core';

/** A table whose rows are not all read yet. */
export interface UnfinishedCopy {
  readonly table: string;
  /** Partitions that are read, of all; 0 of 0 where it has none yet. */
  readonly read: number;
  readonly partitions: number;
  /** Users see a generation that goes on until the copy takes its place: nothing is missing to them. */
  readonly isBeside: boolean;
  /** Users see something under the name that goes with the switch, or may. */
  readonly replaces: boolean;
}

/** The copies of a pipeline's tables under its anchor that are under way. */
export async function unfinishedCopies(state: State, pipeline: PipelineRecord): Promise<readonly UnfinishedCopy[]> {
  const { name } = pipeline.definition;
  const recorded = recordedTables(pipeline);
  const unfinished: UnfinishedCopy[] = [];
  for (const { value } of await listRecords<TableRecord>(state, stateKeys.tables(name))) {
    const { table, epoch, phase, anchor, adopts, missing, l1Requested, older, partitions, replaces = true } = value;
    if (!recorded.includes(table) || anchor !== pipeline.anchor?.id || (phase !== 'planned' && phase !== 'snapshotting')) continue;
    if (adopts === true || missing !== undefined || l1Requested) continue;
    const ledger = phase === 'planned' ? [] : await listRecords<PartitionRecord>(state, stateKeys.partitions(name, table, epoch));
    const read = ledger.filter((partition) => partition.value.phase === 'read' || partition.value.phase === 'durable').length;
    if (phase === 'snapshotting' && read === partitions) continue;
    unfinished.push({ table, read, partitions, isBeside: older !== null, replaces });
  }
  return unfinished;
}
