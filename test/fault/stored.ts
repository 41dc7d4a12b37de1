import { planApply, storeDefinitions } from '@nanosync/api';
import type { PipelineCommand, PipelineRecord, State } from '@nanosync/core';
import { afterCommand, stateKeys, updateRecord } from '@nanosync/core';
import { loadPipelines, systemClock } from '@nanosync/runtime';
import { openEmbeddedState } from '@nanosync/state';

/** Stores a file's pipelines as a server does on `apply`, for a place where none runs yet. */
export async function storePipelines(state: State, file: string): Promise<void> {
  const plans = await planApply(state, loadPipelines(file));
  await storeDefinitions(state, plans, { clock: systemClock(), confirmed: true });
}

/** Stores a command as a server does, in a data folder that none has. */
export async function storeCommand(dataDir: string, pipeline: string, command: PipelineCommand): Promise<void> {
  await using state = await openEmbeddedState({ directory: `${dataDir}/state`, clock: systemClock() });
  await updateRecord<PipelineRecord>(state, stateKeys.pipeline(pipeline), (record) => afterCommand(record, command));
}

/** {@link storePipelines} in a data folder. */
export async function storePipelinesIn(dataDir: string, file: string): Promise<void> {
  await using state = await openEmbeddedState({ directory: `${dataDir}/state`, clock: systemClock() });
  await storePipelines(state, file);
}
