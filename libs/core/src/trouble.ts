import { describeError, PipelineError } from './errors.ts';
import type { State } from './ports/state.ts';
import type { TroubleRecord } from './records.ts';
import { RECORD_VERSION, stateKeys } from './records.ts';
import { readRecord } from './stored.ts';

/** Says for status why a service cannot work on a pipeline now. The service itself goes on trying. */
export async function tellTrouble(state: State, pipeline: string, service: string, error: unknown): Promise<void> {
  const key = stateKeys.trouble(pipeline, service);
  const manual = !(error instanceof PipelineError) || error.retry !== 'timed';
  const record: TroubleRecord = { v: RECORD_VERSION, service, reason: describeError(error), manual };
  const stored = await readRecord<TroubleRecord>(state, key);
  if (stored?.value.reason === record.reason) return;
  // Beaten means that another owner of the same work has told its trouble, which is as good.
  await state.put(key, record, stored?.version ?? 0);
}

/** The service works on the pipeline again. */
export async function endTrouble(state: State, pipeline: string, service: string): Promise<void> {
  const key = stateKeys.trouble(pipeline, service);
  if ((await state.get(key)) !== undefined) await state.remove(key);
}
