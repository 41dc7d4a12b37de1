import { storedPipelines } from '@nanosync/api';
import type { State } from '@nanosync/core';
import type { PipelineStatus } from '@nanosync/runtime';
import { absentServices, pipelineStatus, pipelineStatuses } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_FAILED, EXIT_OK } from '../context.ts';
import { isServed } from '../data-directory.ts';
import { answering, existingPlace } from '../place.ts';
import { statusText } from '../status-text.ts';
import type { CommonOptions } from './common.ts';
import { unknownPipeline } from './resnapshot.ts';

/** Without a server the figures stand still, however healthy they look. */
const NOT_SERVING = 'no server is running here, so nothing moves; this is where it stopped. Go on with: nanosync start';

/** Prints where the pipelines stand. Exit status 1 while one of them needs a person. */
export async function status(
  context: CliContext,
  name: string | undefined,
  options: CommonOptions & { readonly json?: boolean },
): Promise<number> {
  const place = existingPlace(context, options);
  await using state = await answering(context.adapters.openState(place));
  const one = name === undefined ? undefined : await pipelineStatus(state, name);
  if (name !== undefined && one === undefined) throw unknownPipeline(name, await storedPipelines(state));
  const statuses = one === undefined ? await pipelineStatuses(state) : [one];
  const absent = place.kind === 'cluster' ? await absentOf(state, statuses) : new Map<string, readonly string[]>();
  const serving = place.kind === 'cluster' ? absent.size === 0 : isServed(place.directory);
  if (options.json)
    context.out(
      JSON.stringify({ serving, ...(place.kind === 'cluster' ? { absent: Object.fromEntries(absent) } : {}), pipelines: statuses }),
    );
  else if (statuses.length === 0) context.out('no pipelines yet; add some with: nanosync apply -f pipelines.yaml');
  else for (const line of linesOf(statuses, place.kind === 'embedded' && !serving, absent)) context.out(context.redactor.redact(line));
  return statuses.every((pipeline) => pipeline.healthy) ? EXIT_OK : EXIT_FAILED;
}

/** By pipeline, the services that no process of the cluster does for it. */
async function absentOf(state: State, statuses: readonly PipelineStatus[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const absent = new Map<string, readonly string[]>();
  for (const status of statuses) {
    const services = await absentServices(state, status);
    if (services.length > 0) absent.set(status.name, services);
  }
  return absent;
}

function linesOf(
  statuses: readonly PipelineStatus[],
  isStopped: boolean,
  absent: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  return [
    ...(isStopped ? [NOT_SERVING] : []),
    ...statuses.flatMap((pipeline) => {
      const [headline = '', ...rest] = statusText(pipeline);
      const missing = (absent.get(pipeline.name) ?? []).map((service) => `  no ${service} works on it: start nanosync service ${service}`);
      return [headline, ...missing, ...rest];
    }),
  ];
}
