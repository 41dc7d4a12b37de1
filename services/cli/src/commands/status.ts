import type { StatusAnswer } from '@nanosync/api';
import { PipelineError } from '@nanosync/core';
import { listenForShutdown } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_FAILED, EXIT_OK } from '../context.ts';
import { apiOf } from '../endpoint.ts';
import { statusText } from '../status-text.ts';
import type { CommonOptions } from './common.ts';

/** How often `--watch` looks again, in milliseconds. */
const WATCH_EVERY_MS = 1000;
/** Clears the terminal and goes to its top. */
const CLEAR = '\u001b[H\u001b[2J\u001b[3J';

/** Prints where the pipelines stand. Exit status 1 while one of them needs a person. */
export async function status(
  context: CliContext,
  name: string | undefined,
  options: CommonOptions & { readonly watch?: boolean },
): Promise<number> {
  const api = apiOf(context, options);
  const look = (signal?: AbortSignal) =>
    name === undefined ? api.call('status', {}, signal) : api.call('pipeline', { params: { name } }, signal);
  if (options.watch !== true) return print(context, await look(), options);
  using shutdown = listenForShutdown(context.exitNow);
  const signal = AbortSignal.any([shutdown.signal, context.outputGone, ...(context.stop === undefined ? [] : [context.stop])]);
  let exitStatus = EXIT_OK;
  while (!signal.aborted) {
    try {
      const answer = await look(signal);
      if (context.isTerminal && options.json !== true) context.out(CLEAR);
      exitStatus = print(context, answer, options);
    } catch (error) {
      if (signal.aborted) break;
      if (!(error instanceof PipelineError) || error.retry !== 'timed') throw error;
      context.err(error.message); // It may be starting again.
    }
    await context.clock.sleep(WATCH_EVERY_MS, signal);
  }
  return exitStatus;
}

function print(context: CliContext, answer: StatusAnswer, { json }: CommonOptions): number {
  const { pipelines } = answer;
  if (json === true) context.out(JSON.stringify(answer));
  else if (pipelines.length === 0) context.out('no pipelines yet; add some with: nanosync apply -f pipelines.yaml');
  else for (const line of linesOf(answer)) context.out(context.redactor.redact(line));
  return pipelines.every((pipeline) => pipeline.healthy) ? EXIT_OK : EXIT_FAILED;
}

function linesOf({ pipelines, absent = {} }: StatusAnswer): readonly string[] {
  return pipelines.flatMap((pipeline) => {
    const [headline = '', ...rest] = statusText(pipeline);
    const missing = (absent[pipeline.name] ?? []).map((service) => `  no ${service} works on it: start nanosync service ${service}`);
    return [headline, ...missing, ...rest];
  });
}
