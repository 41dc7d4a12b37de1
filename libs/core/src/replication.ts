import type { PipelineDefinition } from './definition.ts';
import type { SourceUse } from './ports/problem.ts';

type Typed = Pick<PipelineDefinition, 'replicationType'>;

/** True for the types whose changes are followed: they have a slot, change topics and an L1. The others end when their rows are copied. */
export function followsChanges({ replicationType }: Typed): boolean {
  return replicationType === 'cdc_backfill' || replicationType === 'cdc';
}

/** What a pipeline wants of its source. */
export function sourceUseOf(definition: Typed): SourceUse {
  return followsChanges(definition) ? 'follow' : 'copy';
}
