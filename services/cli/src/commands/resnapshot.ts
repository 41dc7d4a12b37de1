import { storedPipelines } from '@nanosync/api';
import type { PipelineRecord } from '@nanosync/core';
import { PIPELINE_MACHINE, PipelineError, stateKeys, updateRecord } from '@nanosync/core';
import { nearest } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { answering, existingPlace } from '../place.ts';
import type { CommonOptions } from './common.ts';

/** Asks the planner to copy a pipeline's tables anew, beside the old ones until the new ones are complete. */
export async function resnapshot(context: CliContext, name: string, options: CommonOptions): Promise<number> {
  await using state = await answering(context.adapters.openState(existingPlace(context, options)));
  let alreadyAsked = false;
  const stored = await updateRecord<PipelineRecord>(state, stateKeys.pipeline(name), (record) => {
    if (PIPELINE_MACHINE[record.phase].resnapshot === null)
      throw new PipelineError('config', `pipeline ${name} is ${record.phase} and cannot be copied anew.`, {
        hint: 'Apply it under a new name.',
      });
    alreadyAsked = record.request === 'resnapshot';
    return alreadyAsked ? undefined : { ...record, request: 'resnapshot' };
  });
  if (stored === undefined) throw unknownPipeline(name, await storedPipelines(state));
  context.out(
    `${name}: ${alreadyAsked ? 'a resnapshot is already asked for' : 'resnapshot asked for; the running server begins it, or the next start'}`,
  );
  return EXIT_OK;
}

/** The error about a pipeline name that is not stored. */
export function unknownPipeline(name: string, stored: readonly PipelineRecord[]): PipelineError {
  const known = stored.map((record) => record.definition.name);
  const near = nearest(name, known);
  const hint = near !== undefined ? `Did you mean ${near}?` : known.length === 0 ? 'There is none yet.' : `Known are ${known.join(', ')}.`;
  return new PipelineError('config', `there is no pipeline ${JSON.stringify(name)}.`, { hint });
}
