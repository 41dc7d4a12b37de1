import { isKind, PipelineError } from './errors.ts';
import type { GenerationId } from './ports/sink.ts';

/** What a sink answers that is asked to make a generation of an epoch which was given up there (`conflict`). */
export function givenUp({ epoch, table }: Pick<GenerationId, 'epoch' | 'table'>): PipelineError {
  return new PipelineError('conflict', `the epoch ${epoch} of ${table} was given up.`);
}

/** True for {@link givenUp} of this generation. */
export function isGivenUp(error: unknown, generation: Pick<GenerationId, 'epoch' | 'table'>): boolean {
  return isKind(error, 'conflict') && error.message === givenUp(generation).message;
}
