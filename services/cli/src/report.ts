import { ApiFault, errorBody } from '@nanosync/api';
import { describeError, isKind, PipelineError } from '@nanosync/core';
import type { CliContext } from './context.ts';
import { EXIT_FAILED, EXIT_REFUSED } from './context.ts';

/**
 * Prints an error as a user should read it: sentences without a stack trace, unless they asked for one; never a secret. `json`: as one object with the
 * code and the cure, for a program.
 */
export function reportError(
  context: CliContext,
  error: unknown,
  { debug, json = false }: { readonly debug: boolean; readonly json?: boolean },
): void {
  const { redact } = context.redactor;
  if (json)
    context.err(redact(JSON.stringify({ error: isExpected(error) ? errorBody(error) : { ...DEFECT, message: internal(error, debug) } })));
  else context.err(redact(isExpected(error) ? describeError(error) : internal(error, debug)));
  if (!debug) return;
  for (let cause = error; cause instanceof Error; cause = cause.cause) context.err(redact(traceOf(cause)));
}

const DEFECT = { code: 'defect', cure: null };

/** Whose words are known to hold no cell: ours, and those of the runtime. A driver's may repeat values; of those their name, code and place are shown. */
function traceOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  const isKnown =
    error instanceof PipelineError || error instanceof TypeError || error instanceof RangeError || /^E[A-Z]+$/.test(code ?? '');
  const frames = (error.stack ?? '').split('\n').filter((line) => /^ {4}at /.test(line));
  return [`${error.name}${isKnown ? `: ${error.message}` : code === undefined ? '' : ` (${code})`}`, ...frames].join('\n');
}

/** What a command that ends with this error tells its caller. */
export function exitStatusOf(error: unknown): number {
  return isKind(error, 'config', 'prerequisite', 'newer-version') ? EXIT_REFUSED : EXIT_FAILED;
}

function isExpected(error: unknown): boolean {
  return error instanceof ApiFault || (error instanceof PipelineError && error.kind !== 'defect');
}

function internal(error: unknown, debug: boolean): string {
  return `internal error: ${describeError(error)}${debug ? '' : ' (run again with --debug to see where)'}`;
}
