import { describeError, PipelineError } from './errors.ts';
import type { State } from './ports/state.ts';
import type { TroubleRecord } from './records.ts';
import { RECORD_VERSION, stateKeys } from './records.ts';
import { putOf, readRecord } from './stored.ts';

/** When a trouble was met, and whether it stops all of the pipeline's work or only a part. */
export interface TroubleNote {
  readonly nowMs: number;
  readonly partial?: boolean;
}

/**
 * Says for status why a service cannot work on a pipeline now. The service itself goes on trying; troubles that follow one another without
 * an end between them count from the first.
 */
export async function tellTrouble(state: State, pipeline: string, service: string, error: unknown, note?: TroubleNote): Promise<void> {
  const key = stateKeys.trouble(pipeline, service);
  const manual = !(error instanceof PipelineError) || error.retry !== 'timed';
  const stored = await readRecord<TroubleRecord>(state, key);
  const reason = describeError(error);
  if (stored?.value.reason === reason) return;
  const sinceMs = stored?.value.sinceMs ?? note?.nowMs;
  const record: TroubleRecord = {
    ...{ v: RECORD_VERSION, service, reason, manual },
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(note?.partial === true ? { partial: true } : {}),
  };
  // Beaten means that another owner of the same work has told its trouble, which is as good.
  await putOf(state, pipeline, key, record, stored?.version ?? 0);
}

/** The service works on the pipeline again. */
export async function endTrouble(state: State, pipeline: string, service: string): Promise<void> {
  const key = stateKeys.trouble(pipeline, service);
  if ((await state.get(key)) !== undefined) await state.remove(key);
}
