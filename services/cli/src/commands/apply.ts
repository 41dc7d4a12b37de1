import { differences, planApply, preflight, storeDefinitions, storedPipelines, toCheck } from '@nanosync/api';
import type { PipelineDefinition } from '@nanosync/core';
import { loadPipelines } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { isInUse, makeRoot } from '../data-directory.ts';
import { answering, placeOf } from '../place.ts';
import type { CommonOptions } from './common.ts';
import { preflightPorts } from './preflight-ports.ts';

/**
 * Stores the pipelines of a file. A running server picks them up; without one they run at the next start. Nothing is stored
 * unless every new pipeline can run, and every table that comes to one can be added.
 */
export async function apply(context: CliContext, file: string, options: CommonOptions): Promise<number> {
  const place = placeOf(context, options);
  const definitions = loadPipelines(file);
  await using resources = new AsyncDisposableStack();
  const open = async () => resources.use(await answering(context.adapters.openState(place)));
  const existing = place.kind === 'cluster' || isInUse(place.directory) ? await open() : undefined;
  const plans = await planApply(existing, definitions);
  const held = existing === undefined ? [] : (await storedPipelines(existing)).map((record) => record.definition);
  await preflight(
    { ...preflightPorts(context, options), isSinkHeld: (sink) => isSinkOf(held, sink) },
    plans.flatMap((plan) => toCheck(plan) ?? []),
  );
  if (place.kind === 'embedded') makeRoot(place.directory);
  const state = existing ?? (await open());
  for (const plan of await storeDefinitions(state, plans, context.clock)) {
    context.out(`${plan.definition.name}: ${plan.outcome}`);
    for (const { effect } of plan.edits) context.out(`${plan.definition.name}: ${effect}`);
  }
  return EXIT_OK;
}

/** A warehouse file has one process at a time: where a stored pipeline writes to it, that may be the server. */
function isSinkOf(stored: readonly PipelineDefinition[], sink: PipelineDefinition['sink']['connection']): boolean {
  return stored.some((definition) => !differences(definition, { ...definition, sink: { connection: sink } }).includes('sink.connection'));
}
