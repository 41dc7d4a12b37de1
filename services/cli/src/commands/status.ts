import { pipelineStatus, pipelineStatuses } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_FAILED, EXIT_OK } from '../context.ts';
import { storedPipelines } from '../definitions.ts';
import { statusText } from '../status-text.ts';
import type { CommonOptions } from './common.ts';
import { existingDirectory } from './common.ts';
import { unknownPipeline } from './resnapshot.ts';

/** Prints where the pipelines stand. Exit status 1 while one of them needs a person. */
export async function status(
  context: CliContext,
  name: string | undefined,
  options: CommonOptions & { readonly json?: boolean },
): Promise<number> {
  await using state = await context.adapters.openState(existingDirectory(options).state);
  const one = name === undefined ? undefined : await pipelineStatus(state, name);
  if (name !== undefined && one === undefined) throw unknownPipeline(name, await storedPipelines(state));
  const statuses = one === undefined ? await pipelineStatuses(state) : [one];
  if (options.json) context.out(JSON.stringify({ pipelines: statuses }));
  else if (statuses.length === 0) context.out('no pipelines yet; add some with: nanosync apply -f pipelines.yaml');
  else for (const line of statuses.flatMap(statusText)) context.out(context.redactor.redact(line));
  return statuses.every((pipeline) => pipeline.healthy) ? EXIT_OK : EXIT_FAILED;
}
