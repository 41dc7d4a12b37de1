import type { PipelineDefinition, ServiceContext, State } from '@nanosync/core';
import { topicsOf } from '@nanosync/core';
import type { ServerSettings } from '@nanosync/runtime';
import { failpointOf, listenForShutdown, loadPipelines, resolveSecrets } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_FAILED, EXIT_OK } from '../context.ts';
import type { DataDirectory } from '../data-directory.ts';
import { claimDirectory, dataDirectoryOf, isInUse } from '../data-directory.ts';
import type { PlannedApply } from '../definitions.ts';
import { planApply, storedPipelines } from '../definitions.ts';
import { preflight, requireSecrets } from '../preflight.ts';
import { reportError } from '../report.ts';
import { serve } from '../serve.ts';
import { storeDefinitions } from './apply.ts';
import type { CommonOptions } from './common.ts';
import { commandLog, formatOf, serverLog, serverSettings } from './common.ts';

/** Bus partitions of the task topic: the most workers that can share it. */
const TASKS_BUS_PARTITIONS = 8;
/** What a user waits for. */
const SERVING = 'nanosync serving — Ctrl-C to stop';

/**
 * Runs every service in this process until a signal. All that can be refused is refused before anything is created: the file,
 * the data directory's other server, secrets that are not set, and whatever source and sink of a new pipeline lack.
 */
export async function start(context: CliContext, file: string | undefined, options: CommonOptions): Promise<number> {
  const settings = serverSettings(options);
  const directory = dataDirectoryOf(settings.dataDirectory);
  const failpoint = failpointOf(context.env.NANOSYNC_FAILPOINT);
  const definitions = file === undefined ? [] : loadPipelines(file);
  using shutdown = listenForShutdown(context.exitNow);
  await using resources = new AsyncDisposableStack();
  const state = await prepare(context, { settings, directory, definitions, options, resources });
  const { bus, registry } = await context.adapters.openBus(directory.bus);
  resources.use(bus);
  const log = serverLog(context, options);
  const signal = context.stop === undefined ? shutdown.signal : AbortSignal.any([shutdown.signal, context.stop]);
  const ctx: ServiceContext = {
    ...{ state, bus, registry, topics: topicsOf(), log, clock: context.clock, ids: context.ids, failpoint, signal },
    tasksBusPartitions: TASKS_BUS_PARTITIONS,
    changesBusPartitions: settings.busPartitions,
    keepMs: settings.keepMs,
    openSource: async (connection) => context.adapters.openSource(resolveSecrets(connection, context), log),
    openSink: async (connection) =>
      context.adapters.openSink(resolveSecrets(connection, context), { memoryLimitBytes: settings.memoryLimitBytes, log }),
  };
  // Before the services' first lines, as everything that could refuse has been passed.
  if (formatOf(context, options) === 'human') context.out(SERVING);
  else log.info(SERVING);
  if ((await storedPipelines(state)).length === 0) log.info('no pipelines yet', { next: 'nanosync apply -f pipelines.yaml' });
  const { failure, late } = await serve(context.adapters.services, ctx);
  if (failure !== undefined) {
    reportError(context, failure, options.debug === true);
    return EXIT_FAILED;
  }
  for (const service of late) log.warn('service did not end in time', { service });
  log.info('nanosync stopped');
  return late.length === 0 ? EXIT_OK : EXIT_FAILED;
}

interface Preparation {
  readonly settings: ServerSettings;
  readonly directory: DataDirectory;
  readonly definitions: readonly PipelineDefinition[];
  readonly options: CommonOptions;
  readonly resources: AsyncDisposableStack;
}

/** Claims the directory and stores new pipelines; returns the open state store. */
async function prepare(context: CliContext, preparation: Preparation): Promise<State> {
  const { directory, definitions, resources } = preparation;
  const known = isInUse(directory);
  if (known) resources.use(claimDirectory(directory));
  const open = async () => resources.use(await context.adapters.openState(directory.state, { forgetLeases: true }));
  const existing = known ? await open() : undefined;
  const plans = await planApply(existing, definitions);
  await requireRunnable(context, preparation, plans, existing);
  if (!known) resources.use(claimDirectory(directory));
  const state = existing ?? (await open());
  await storeDefinitions(context, state, plans);
  return state;
}

async function requireRunnable(
  context: CliContext,
  { settings, options }: Preparation,
  plans: readonly PlannedApply[],
  existing: State | undefined,
): Promise<void> {
  if (existing !== undefined) {
    const stored = (await storedPipelines(existing)).map((record) => record.definition);
    requireSecrets(context, stored);
  }
  const created = plans.filter((plan) => plan.outcome === 'created').map((plan) => plan.definition);
  await preflight(context, created, { log: commandLog(context, options), memoryLimitBytes: settings.memoryLimitBytes });
}
