import { listenForShutdown } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { apiOf } from '../endpoint.ts';
import type { Entry } from '../entry-text.ts';
import { entryText } from '../entry-text.ts';
import type { CommonOptions } from './common.ts';

/** The options of `tap` as they were written; the server reads them. */
export interface TapOptions extends CommonOptions {
  readonly table?: string;
  readonly key?: string;
  readonly from?: string;
  readonly to?: string;
  readonly follow?: boolean;
  readonly topic?: readonly string[];
  readonly limit?: string;
}

/** Prints the decoded messages of a pipeline's topics. Writes nothing anywhere. */
export async function tap(context: CliContext, name: string, options: TapOptions): Promise<number> {
  using shutdown = listenForShutdown(context.exitNow);
  const signal = AbortSignal.any([shutdown.signal, context.outputGone, ...(context.stop === undefined ? [] : [context.stop])]);
  const { table, key, from, to, limit, follow, topic } = options;
  const query = { table, key, from, to, limit, topic: topic?.join(','), ...(follow === true && { follow: 'true' as const }) };
  for await (const line of apiOf(context, options).stream('tap', { params: { name }, query }, signal)) {
    if (line.kind === 'note') context.err(`note: ${line.says}`);
    else context.out(options.json === true ? JSON.stringify(line) : entryText(line as unknown as Entry));
    if (signal.aborted) break;
  }
  return EXIT_OK;
}
