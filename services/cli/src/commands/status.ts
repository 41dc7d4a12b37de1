import { pipelineStatus, pipelineStatuses } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_FAILED, EXIT_OK } from '../context.ts';
import { isServed } from '../data-directory.ts';
import { storedPipelines } from '../definitions.ts';
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
  // Of a cluster's processes the state store knows nothing.
  const serving = place.kind === 'cluster' ? null : isServed(place.directory);
  await using state = await answering(context.adapters.openState(place));
  const one = name === undefined ? undefined : await pipelineStatus(state, name);
  if (name !== undefined && one === undefined) throw unknownPipeline(name, await storedPipelines(state));
  const statuses = one === undefined ? await pipelineStatuses(state) : [one];
  if (options.json) context.out(JSON.stringify({ serving, pipelines: statuses }));
  else if (statuses.length === 0) context.out('no pipelines yet; add some with: nanosync apply -f pipelines.yaml');
  else
    for (const line of [...(serving === false ? [NOT_SERVING] : []), ...statuses.flatMap(statusText)])
      context.out(context.redactor.redact(line));
  return statuses.every((pipeline) => pipeline.healthy) ? EXIT_OK : EXIT_FAILED;
}
