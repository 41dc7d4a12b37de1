import { storedPipelines } from '@nanosync/api';
import type { ServiceContext, State } from '@nanosync/core';
import type { Shutdown } from '@nanosync/runtime';
import { createPrometheusMetrics, failpointOf, resolveSecrets } from '@nanosync/runtime';
import type { CliContext, Service } from '../context.ts';
import { EXIT_FAILED, EXIT_OK } from '../context.ts';
import { openEndpoints } from '../endpoints.ts';
import type { Health } from '../health.ts';
import { HealthReport, NO_HEALTH } from '../health.ts';
import { LogKeeper } from '../log-keeper.ts';
import type { Place } from '../place.ts';
import { answering, topicsAt } from '../place.ts';
import { reportError } from '../report.ts';
import { serve } from '../serve.ts';
import { ServiceHealth } from '../service-health.ts';
import { serveApi } from './api-serving.ts';
import type { CommonOptions } from './common.ts';
import { formatOf, serverLog, serverSettings } from './common.ts';

/** What {@link serveUntilStopped} runs, and where. */
export interface Serving {
  readonly place: Place;
  readonly state: State;
  readonly services: readonly Service[];
  /** The line that a user waits for. */
  readonly greeting: string;
  /** This process answers commands. */
  readonly isCommanded: boolean;
  readonly options: CommonOptions;
  readonly shutdown: Shutdown;
}

/** Opens the bus and runs the services until a signal; returns the exit status. */
export async function serveUntilStopped(context: CliContext, serving: Serving): Promise<number> {
  const { place, state, services, greeting, options } = serving;
  const settings = serverSettings(options);
  const failpoint = failpointOf(context.env.NANOSYNC_FAILPOINT);
  const keeper = new LogKeeper(context.clock);
  const log = serverLog(context, options, keeper.add);
  await using resources = new AsyncDisposableStack();
  const { bus, registry } = await answering(context.adapters.openBus(place, log));
  resources.use(bus);
  resources.use(keeper).keepOn(bus, topicsAt(place).logs, log);
  const metrics = settings.metricsListen === null ? undefined : createPrometheusMetrics();
  const health = new ServiceHealth(
    services.map(({ name }) => name),
    [healthOf(context, serving, resources)],
    metrics,
  );
  const signal = context.stop === undefined ? serving.shutdown.signal : AbortSignal.any([serving.shutdown.signal, context.stop]);
  const ctx: ServiceContext = {
    ...{ state, bus, registry, topics: topicsAt(place), log, clock: context.clock, ids: context.ids, failpoint, signal },
    tasksBusPartitions: settings.tasksBusPartitions,
    changesBusPartitions: settings.busPartitions,
    keepMs: settings.keepMs,
    ...(metrics === undefined ? {} : { metrics }),
    openSource: async (connection) => context.adapters.openSource(await resolveSecrets(connection, context), log),
    openSink: async (connection) =>
      context.adapters.openSink(await resolveSecrets(connection, context), { memoryLimitBytes: settings.memoryLimitBytes, log }),
  };
  if (metrics !== undefined && settings.metricsListen !== null) {
    const parts = { ctx, metrics, health, redact: context.redactor.redact };
    const { url } = resources.use(await openEndpoints(settings.metricsListen, parts));
    log.info('metrics served', { url: `${url}/metrics` });
  }
  const api = serving.isCommanded ? resources.use(await serveApi(context, { place, options, ctx })) : undefined;
  // Before the services' first lines, as everything that could refuse has been passed.
  if (formatOf(context, options) === 'human') context.out(greeting);
  else log.info(greeting);
  if (api?.url !== undefined) log.info('api listens', { url: api.url });
  if ((await storedPipelines(state)).length === 0) log.info('no pipelines yet', { next: 'nanosync apply -f pipelines.yaml' });
  const { failure, late } = await serve(services, ctx, health);
  if (failure !== undefined) {
    reportError(context, failure, { debug: options.debug === true });
    return EXIT_FAILED;
  }
  for (const service of late) log.warn('service did not end in time', { service });
  log.info('nanosync stopped');
  return late.length === 0 ? EXIT_OK : EXIT_FAILED;
}

function healthOf(context: CliContext, { options }: Serving, resources: AsyncDisposableStack): Health {
  const path = healthFile(context, options);
  if (path === undefined) return NO_HEALTH;
  return resources.use(new HealthReport(path, { clock: context.clock, log: serverLog(context, options), pid: context.pid }));
}

/** The health file of the options, else of the environment: an image names it once for all commands. */
export function healthFile(context: CliContext, options: CommonOptions): string | undefined {
  return options.healthFile ?? (context.env.NANOSYNC_HEALTH_FILE || undefined);
}
