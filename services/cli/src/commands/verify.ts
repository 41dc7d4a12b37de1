import type { AnswerOf } from '@nanosync/api';
import { listenForShutdown } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_REFUSED } from '../context.ts';
import { apiOf } from '../endpoint.ts';
import { reportError } from '../report.ts';
import { VerifyText } from '../verify-text.ts';
import type { CommonOptions } from './common.ts';

/** The options of `verify` as they were written; the server reads them. */
export interface VerifyOptions extends CommonOptions {
  readonly table?: string;
  readonly limit?: string;
  readonly rate?: string;
  readonly values?: boolean;
  readonly asIs?: boolean;
}

/** Compares a pipeline's source and sink. Exit status 0: equal, 1: something differs, 2: it could not be told. */
export async function verify(context: CliContext, name: string, options: VerifyOptions): Promise<number> {
  using shutdown = listenForShutdown(context.exitNow);
  const signal = AbortSignal.any([shutdown.signal, context.outputGone, ...(context.stop === undefined ? [] : [context.stop])]);
  const { table, limit, rate, values, asIs } = options;
  const query = {
    ...{ table, limit, rate },
    ...(values === true && { values: 'true' as const }),
    ...(asIs === true && { asIs: 'true' as const }),
  };
  const text = new VerifyText(context.clock);
  let outcome: string | undefined;
  try {
    for await (const line of apiOf(context, options).stream('verify', { params: { name }, query }, signal)) {
      if (line.kind === 'end') outcome = line.outcome;
      say(context, options, text, line);
    }
  } catch (error) {
    reportError(context, error, { debug: options.debug === true, json: options.json === true });
    return EXIT_REFUSED;
  }
  if (outcome === undefined && !signal.aborted) context.err('The server ended before the comparison did.');
  if (outcome === 'equal') return EXIT_OK;
  return outcome === 'different' ? EXIT_FAILED : EXIT_REFUSED;
}

function say(context: CliContext, { json }: VerifyOptions, text: VerifyText, line: AnswerOf<'verify'>): void {
  if (json === true) return context.out(JSON.stringify(line));
  for (const { aside, text: one } of text.linesOf(line)) (aside ? context.err : context.out)(context.redactor.redact(one));
}
