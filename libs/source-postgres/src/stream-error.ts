import { PipelineError } from '@nanosync/core';
import type { Connect } from './connection.ts';
import { codeOf } from './postgres-error.ts';
import type { StreamNames } from './stream-check.ts';

/** What an error of the change stream means, with its cure. */
export function explainStreamError(error: unknown, connect: Connect, names: StreamNames): PipelineError {
  if (error instanceof PipelineError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const again = cureOf(names);
  switch (codeOf(error)) {
    case '42704':
      return message.includes('publication')
        ? publicationGone(names, error)
        : new PipelineError('gap', `The replication slot ${names.slot} does not exist any more.`, { cause: error, hint: again });
    case '55000':
      return new PipelineError('gap', `The replication slot ${names.slot} can no longer be read: ${message}.`, {
        cause: error,
        hint: again,
      });
    case '55006':
      return new PipelineError('conflict', `The replication slot ${names.slot} is in use: ${message}.`, {
        cause: error,
        hint: `Stop the other process, or end it with SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '${names.slot}'.`,
      });
    case '53300':
      return new PipelineError('prerequisite', `PostgreSQL at ${connect.place} has no free walsender.`, {
        cause: error,
        hint: 'Raise max_wal_senders.',
      });
    default:
      return connect.explain(error);
  }
}

/** The publication was dropped: changes since then are not in the stream. */
export function publicationGone(names: StreamNames, cause?: unknown): PipelineError {
  const message = `The publication ${names.publication} does not exist any more.`;
  return new PipelineError('gap', message, { hint: cureOf(names), ...(cause === undefined ? {} : { cause }) });
}

/** The server shuts down and was kept waiting for changes that cannot be published now. */
export function shuttingDown(connect: Connect): PipelineError {
  return new PipelineError('unavailable', `PostgreSQL at ${connect.place} shuts down and no longer waits for this change stream.`);
}

function cureOf(names: StreamNames): string {
  return `Run: nanosync pipeline resnapshot ${names.pipeline}`;
}
