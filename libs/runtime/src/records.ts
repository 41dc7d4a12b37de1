import type { StateEntry } from '@nanosync/core';
import { PipelineError, RECORD_VERSION } from '@nanosync/core';

/** The record in an entry of the state store; refuses one that a newer nanosync wrote, because its meaning is unknown here. */
export function recordOf<T extends { readonly v: number }>(entry: StateEntry): T {
  const record = entry.value as T;
  if (typeof record?.v !== 'number') throw new PipelineError('defect', `the state record ${entry.key} carries no version.`);
  if (record.v > RECORD_VERSION)
    throw new PipelineError('newer-version', `the state record ${entry.key} was written by a newer nanosync (version ${record.v}).`, {
      hint: `This one reads up to version ${RECORD_VERSION}: upgrade nanosync, or name another --data-dir.`,
    });
  return record;
}
