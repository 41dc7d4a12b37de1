import type { Clock, FenceOptions, TableId } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { passModelFence } from './anchor.ts';
import type { ModelDatabase } from './database.ts';

/** How long an ALTER waits for a table that somebody has for himself. */
const LOCK_TIMEOUT_MS = 10_000;

interface Extension extends FenceOptions {
  readonly connection: AbortSignal;
}

/** Adds tables to the publication, waits for all transactions that are open then, and makes every stream look again. */
export async function extendModelPublication(
  db: ModelDatabase,
  clock: Clock,
  tables: readonly TableId[],
  options: Extension,
): Promise<void> {
  options.signal.throwIfAborted();
  for (const until = clock.monotonicMs() + LOCK_TIMEOUT_MS; ; ) {
    reach(db, options);
    const missing = tables.filter((table) => !db.isPublished(table));
    const gone = missing.find((table) => db.find(table) === undefined);
    if (db.publication === undefined || gone !== undefined) throw new PipelineError('prerequisite', 'Publication or table do not exist.');
    if (missing.every((table) => db.table(table).exclusive === undefined)) {
      if (missing.length > 0) db.alterPublication(missing);
      break;
    }
    const left = until - clock.monotonicMs();
    if (left <= 0) throw new PipelineError('conflict', 'The lock of a table stayed taken.');
    await Promise.race([db.wakeUps.next(AbortSignal.any([options.signal, options.connection])), clock.sleep(left, options.signal)]);
    options.signal.throwIfAborted();
  }
  await passModelFence(db, clock, options);
  reach(db, options);
  db.alterPublication([]);
}

function reach(db: ModelDatabase, { connection }: Extension): void {
  if (connection.aborted) throw new PipelineError('unavailable', 'The model closed the connection.');
  db.reach();
}
