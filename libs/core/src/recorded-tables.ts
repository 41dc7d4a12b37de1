import type { PipelineRecord } from './records.ts';

/** The tables that stand under the pipeline's anchor; one of them without a record has lost it. */
export function recordedTables({ recorded, definition }: PipelineRecord): readonly string[] {
  return recorded === undefined ? definition.source.tables : definition.source.tables.filter((table) => recorded.includes(table));
}

/** The tables of the definition that came after the pipeline was anchored and are still to be taken in. */
export function tablesToAdd(pipeline: PipelineRecord): readonly string[] {
  const recorded = recordedTables(pipeline);
  return pipeline.definition.source.tables.filter((table) => !recorded.includes(table));
}
