import type { PlannedApply } from '@nanosync/api';
import { planApply, preflight, requireSameSource, storeDefinitions, storedPipelines, toCheck, withLeftRows } from '@nanosync/api';
import type { PipelineDefinition, State } from '@nanosync/core';
import { failpointOf, listenForShutdown, loadPipelines } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { claimDirectory, isInUse } from '../data-directory.ts';
import type { Place } from '../place.ts';
import { answering, placeOf } from '../place.ts';
import type { CommonOptions } from './common.ts';
import { serverLog, serverSettings } from './common.ts';
import { preflightPorts, requireSecrets } from './preflight-ports.ts';
import { serveUntilStopped } from './serving.ts';

/**
 * Partitions that the one worker of the process would read at once. More than any `snapshot.concurrency` one machine is for: the
 * planner keeps that number, a pipeline each, and slots that wait cost nothing.
 */
const WORKER_SLOTS = 64;
/** What a user waits for. */
const SERVING = 'nanosync serving — Ctrl-C to stop';

/**
 * Runs every service in this process until a signal. All that can be refused is refused before anything is created: the file,
 * the data directory's other server, engines that do not answer, secrets that are not set, and whatever source and sink of a new
 * pipeline lack.
 */
export async function start(context: CliContext, file: string | undefined, options: CommonOptions): Promise<number> {
  const place = await placeOf(context, options);
  failpointOf(context.env.NANOSYNC_FAILPOINT);
  const definitions = file === undefined ? [] : loadPipelines(file);
  using shutdown = listenForShutdown(context.exitNow);
  await using resources = new AsyncDisposableStack();
  const preparation = { place, definitions, options, resources };
  const state = place.kind === 'embedded' ? await prepareDirectory(context, preparation) : await prepareCluster(context, preparation);
  const services = context.adapters.services(serverSettings(options).workerSlots ?? WORKER_SLOTS);
  return await serveUntilStopped(context, { place, state, services, greeting: SERVING, isCommanded: true, options, shutdown });
}

interface Preparation {
  readonly place: Place;
  readonly definitions: readonly PipelineDefinition[];
  readonly options: CommonOptions;
  readonly resources: AsyncDisposableStack;
}

/** Claims the directory and stores new pipelines; returns the open state store. */
async function prepareDirectory(context: CliContext, preparation: Preparation): Promise<State> {
  const { place, definitions, options, resources } = preparation;
  if (place.kind !== 'embedded') return prepareCluster(context, preparation);
  const { directory } = place;
  const known = isInUse(directory);
  if (known) resources.use(claimDirectory(directory));
  const open = async () => resources.use(await context.adapters.openState(place, { forgetLeases: true }));
  const existing = known ? await open() : undefined;
  const plans = await planApply(existing, definitions);
  await requireRunnable(context, preparation, plans, existing);
  if (!known) resources.use(claimDirectory(directory));
  const state = existing ?? (await open());
  await storeAndSay(context, state, plans, options);
  return state;
}

/** Stores new pipelines in the cluster's state store, which must answer. */
async function prepareCluster(context: CliContext, preparation: Preparation): Promise<State> {
  const { place, definitions, options, resources } = preparation;
  const state = resources.use(await answering(context.adapters.openState(place, { log: serverLog(context, options) })));
  const plans = await planApply(state, definitions);
  await requireRunnable(context, preparation, plans, state);
  await storeAndSay(context, state, plans, options);
  return state;
}

/** Adds to plans what only the sinks know. */
function completed(context: CliContext, options: CommonOptions): (plans: readonly PlannedApply[]) => Promise<readonly PlannedApply[]> {
  const { openSink } = preflightPorts(context, options);
  return (plans) => withLeftRows(openSink, plans);
}

async function storeAndSay(context: CliContext, state: State, plans: readonly PlannedApply[], options: CommonOptions): Promise<void> {
  const complete = completed(context, options);
  const stored = await storeDefinitions(state, await complete(plans), { clock: context.clock, confirmed: false, complete });
  for (const { definition, edits } of stored)
    for (const { effect } of edits) serverLog(context, options).info('pipeline changed', { pipeline: definition.name, effect });
}

async function requireRunnable(
  context: CliContext,
  { options }: Preparation,
  plans: readonly PlannedApply[],
  existing: State | undefined,
): Promise<void> {
  if (existing !== undefined) {
    const stored = (await storedPipelines(existing)).map((record) => record.definition);
    await requireSecrets(context, stored);
  }
  const checked = plans.flatMap((plan) => toCheck(plan) ?? []);
  const ports = preflightPorts(context, options);
  await preflight(ports, checked);
  if (existing !== undefined) await requireSameSource(ports, existing, plans);
}
