import type { PipelineDefinition } from './definition.ts';
import type { PipelineRecord } from './records.ts';

/** The tables that stand under the pipeline's anchor; one of them without a record has lost it. */
export function recordedTables({ recorded, definition }: PipelineRecord): readonly string[] {
  return recorded === undefined ? definition.source.tables : definition.source.tables.filter((table) => recorded.includes(table));
}

/** The tables of the definition that came after the pipeline was anchored and are still to be taken in; not while an earlier stay of theirs ends. */
export function tablesToAdd(pipeline: PipelineRecord): readonly string[] {
  const known = [...recordedTables(pipeline), ...leavingTables(pipeline)];
  return pipeline.definition.source.tables.filter((table) => !known.includes(table));
}

/** The tables that were taken out and of which something is left. */
export function leavingTables({ leaving = [] }: PipelineRecord): readonly string[] {
  return leaving;
}

/** The record once these tables are taken out (pure); with the definition that no longer names them it is stored in one write. */
export function withoutTables(record: PipelineRecord, tables: readonly string[]): PipelineRecord {
  if (record.recorded === undefined) return record; // Nothing was taken in yet.
  const going = record.recorded.filter((table) => tables.includes(table));
  const copyAnew = record.intent.copyAnew.filter((table) => !tables.includes(table));
  const recorded = record.recorded.filter((table) => !tables.includes(table));
  const leaving = [...new Set([...leavingTables(record), ...going])];
  return { ...record, recorded, leaving, intent: { ...record.intent, copyAnew } };
}

/** True when both take tables in alike: with the same of their columns kept back, and with a copy or without. */
export function takesInAlike(a: PipelineDefinition, b: PipelineDefinition): boolean {
  return a.replicationType === b.replicationType && JSON.stringify(a.source.columns) === JSON.stringify(b.source.columns);
}
