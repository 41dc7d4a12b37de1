/**
 * Every kind of failure a user can meet. Each one is explained in docs/errors.md.
 *
 * - `config`: a file, flag or name is wrong; nothing was created.
 * - `prerequisite`: the source, bus, state or sink is not set up as needed.
 * - `unavailable`: a database, bus or store does not answer now; tried again.
 * - `gap`: what the pipeline needs is no longer in the source's log or on the bus.
 * - `table-changed`: a table's columns or storage are no longer those that were planned.
 * - `conflict`: someone else owns what this process wanted to write; it stops.
 * - `newer-version`: stored state was written by a newer nanosync.
 * - `defect`: a state that must not exist; always loud.
 */
export type ErrorKind = 'config' | 'prerequisite' | 'unavailable' | 'gap' | 'table-changed' | 'conflict' | 'newer-version' | 'defect';

/** What the process does by itself about an error: try again after a while, wait for a person, or stop. */
export type RetryPolicy = 'timed' | 'manual' | 'never';

const RETRY: Record<ErrorKind, RetryPolicy> = {
  config: 'never',
  prerequisite: 'manual',
  unavailable: 'timed',
  gap: 'manual',
  'table-changed': 'manual',
  conflict: 'timed',
  'newer-version': 'never',
  defect: 'never',
};

/** The one error type that crosses package borders: what happened in one sentence, and what cures it in another. */
export class PipelineError extends Error {
  override readonly name = 'PipelineError';
  readonly kind: ErrorKind;
  /** The cure, as a sentence or a statement to run. Never contains a password or a cell value. */
  readonly hint: string | undefined;

  constructor(kind: ErrorKind, message: string, options: { readonly hint?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint;
  }

  get retry(): RetryPolicy {
    return RETRY[this.kind];
  }
}

/** True for a PipelineError of one of these kinds. */
export function isKind(error: unknown, ...kinds: readonly ErrorKind[]): error is PipelineError {
  return error instanceof PipelineError && kinds.includes(error.kind);
}

/** One sentence for logs and status: the message, and the cure where there is one. */
export function describeError(error: unknown): string {
  if (error instanceof PipelineError) return error.hint === undefined ? error.message : `${error.message} ${error.hint}`;
  return error instanceof Error ? error.message : String(error);
}

/** Marks a place that types say cannot be reached; a new union member without a case does not compile. */
export function unreachable(value: never): never {
  throw new PipelineError('defect', `unexpected value ${JSON.stringify(value)}`);
}
