import type { PipelineDefinition, State } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { loadPipelines } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { isInUse, makeRoot } from '../data-directory.ts';
import type { PlannedApply } from '../definitions.ts';
import { becomingOfAdded, differences, planApply, storedPipelines, storePlan, toCheck } from '../definitions.ts';
import { answering, placeOf } from '../place.ts';
import { preflight } from '../preflight.ts';
import type { CommonOptions } from './common.ts';
import { commandLog, serverSettings } from './common.ts';

/** How often a plan is made anew because someone else wrote first. */
const ROUNDS = 5;

/**
 * Stores the pipelines of a file. A running server picks them up; without one they run at the next start. Nothing is stored
 * unless every new pipeline can run, and every table that comes to one can be added.
 */
export async function apply(context: CliContext, file: string, options: CommonOptions): Promise<number> {
  const settings = serverSettings(options);
  const place = placeOf(context, options);
  const definitions = loadPipelines(file);
  await using resources = new AsyncDisposableStack();
  const open = async () => resources.use(await answering(context.adapters.openState(place)));
  const existing = place.kind === 'cluster' || isInUse(place.directory) ? await open() : undefined;
  const plans = await planApply(existing, definitions);
  const held = existing === undefined ? [] : (await storedPipelines(existing)).map((record) => record.definition);
  await preflight(
    context,
    plans.flatMap((plan) => toCheck(plan) ?? []),
    { log: commandLog(context, options), memoryLimitBytes: settings.memoryLimitBytes, isSinkHeld: (sink) => isSinkOf(held, sink) },
  );
  if (place.kind === 'embedded') makeRoot(place.directory);
  const state = existing ?? (await open());
  for (const plan of await storeDefinitions(context, state, plans)) {
    context.out(`${plan.definition.name}: ${plan.outcome}`);
    for (const table of plan.added) context.out(`${plan.definition.name}: table ${table} is added: ${becomingOfAdded(plan)}`);
  }
  return EXIT_OK;
}

/** Stores a plan, planning again when someone else wrote meanwhile. */
export async function storeDefinitions(
  context: CliContext,
  state: State,
  plans: readonly PlannedApply[],
): Promise<readonly PlannedApply[]> {
  let current = plans;
  for (let round = 0; round < ROUNDS; round++) {
    if (await storePlan(state, current, context.clock.nowMs())) return current;
    current = await planApply(
      state,
      plans.map((plan) => plan.definition),
    );
  }
  throw new PipelineError('conflict', 'the pipelines are being changed by someone else at the same time.', {
    hint: 'Run the command again.',
  });
}

/** A warehouse file has one process at a time: where a stored pipeline writes to it, that may be the server. */
function isSinkOf(stored: readonly PipelineDefinition[], sink: PipelineDefinition['sink']['connection']): boolean {
  return stored.some((definition) => !differences(definition, { ...definition, sink: { connection: sink } }).includes('sink.connection'));
}
