import { humanEntry, listenForShutdown } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { apiOf } from '../endpoint.ts';
import type { CommonOptions } from './common.ts';

/** The options of `logs` as they were written; the server reads them. */
export interface LogsOptions extends CommonOptions {
  readonly service?: string;
  readonly pipeline?: string;
  readonly level?: 'info' | 'warn' | 'error';
  readonly limit?: string;
  readonly follow?: boolean;
}

/** Prints log lines of all services as each of them printed them. */
export async function logs(context: CliContext, options: LogsOptions): Promise<number> {
  using shutdown = listenForShutdown(context.exitNow);
  const signal = AbortSignal.any([shutdown.signal, context.outputGone, ...(context.stop === undefined ? [] : [context.stop])]);
  const { service, pipeline, level, limit, follow } = options;
  const query = { service, pipeline, level, limit, ...(follow === true && { follow: 'true' as const }) };
  for await (const line of apiOf(context, options).stream('logs', { query }, signal)) {
    if (line.kind === 'note') context.err(`note: ${line.says}`);
    if (line.kind !== 'line') continue;
    const { time, msg, bound, fields } = line;
    // As the JSON format has it.
    const text = options.json === true ? JSON.stringify({ level: line.level, time, ...bound, ...fields, msg }) : humanEntry(line);
    context.out(context.redactor.redact(text));
    if (signal.aborted) break;
  }
  return EXIT_OK;
}
