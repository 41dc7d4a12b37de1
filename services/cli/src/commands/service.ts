import { PipelineError } from '@nanosync/core';
import { failpointOf, listenForShutdown } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { answering, placeOf } from '../place.ts';
import type { CommonOptions } from './common.ts';
import { serverLog, serverSettings } from './common.ts';
import { serveUntilStopped } from './serving.ts';

/** The services that can run as processes of their own. */
export const SERVICE_NAMES = ['planner', 'snapshot-worker', 'cdc-capture', 'sink-writer'] as const;

/** Partitions that a worker process reads at once; more processes read more. */
const WORKER_SLOTS = 4;

/**
 * Runs one service of a cluster until a signal. Any number of each may run: workers share the work, of the others one does it, a pipeline or
 * table each, and the rest stand by to take over.
 */
export async function service(context: CliContext, name: string, options: CommonOptions): Promise<number> {
  const place = await placeOf(context, options);
  failpointOf(context.env.NANOSYNC_FAILPOINT);
  if (place.kind === 'embedded')
    throw new PipelineError(
      'config',
      `${options.config ?? 'the server file'} names no bus and no state store that processes could share.`,
      {
        hint: 'Add bus.kafka, bus.registry and state.redis to it, or run everything in one process with: nanosync start',
      },
    );
  context.boundMemory();
  using shutdown = listenForShutdown(context.exitNow);
  await using state = await answering(context.adapters.openState(place, { log: serverLog(context, options) }));
  const services = context.adapters.services(serverSettings(options).workerSlots ?? WORKER_SLOTS).filter((one) => one.name === name);
  return await serveUntilStopped(context, {
    place,
    state,
    services,
    greeting: `nanosync ${name} serving — Ctrl-C to stop`,
    isCommanded: name === 'planner',
    options,
    shutdown,
  });
}
