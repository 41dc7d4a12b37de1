import type { Clock, RangeOptions, RangeOutput, Row, TableSchema } from '@nanosync/core';
import { AvroWriter, PipelineError, sameSchema, writeCell } from '@nanosync/core';
import type { ModelDatabase } from './database.ts';
import { likeSent, sentRow } from './kept-back.ts';
import type { ModelTable, Snapshot } from './table.ts';

/** The range that is the whole table, whatever its file. */
export const WHOLE = 'whole';
/** Rows in one block; few, so that a range has several batches. */
const BLOCK_ROWS = 2;
/** Time between lock and snapshot, and between two blocks, so that writers get in between. */
const SNAPSHOT_MS = 2;
const BLOCK_MS = 30;
/** A read that does not get the table's lock for so long gives up. */
const LOCK_TIMEOUT_MS = 10_000;

/** What a read of the model is made of. */
export interface ReadParts extends RangeOptions {
  readonly db: ModelDatabase;
  readonly clock: Clock;
  /** Aborted when the process's connections are cut. */
  readonly connection: AbortSignal;
  /** Hears of the rows before they are read. */
  readonly seen?: (rows: readonly Row[]) => void;
}

/** Reads a range: the table's lock first, then the comparison, then one snapshot, and the lock to the end. */
export async function* readModelRange(
  parts: ReadParts,
  planned: { readonly schema: TableSchema; readonly storage: string },
  range: string,
): AsyncGenerator<RangeOutput, void, void> {
  const { db, clock, signal, connection, view } = parts;
  const reader: { snapshot: Snapshot | undefined } = { snapshot: undefined };
  check(parts);
  if (view !== undefined) {
    reader.snapshot = db.views.of(view);
    if (reader.snapshot === undefined) throw changed(planned.schema.table, 'the moment that its rows are read of is no longer held');
  }
  const table = await lock(parts, planned.schema, reader);
  const letGo = () => {
    if (table.readers.delete(reader)) db.wakeUps.wake();
  };
  connection.addEventListener('abort', letGo, { once: true });
  signal.addEventListener('abort', letGo, { once: true });
  try {
    compare(table, planned, range === WHOLE && view === undefined);
    await clock.sleep(SNAPSHOT_MS, signal);
    check(parts);
    reader.snapshot ??= db.snapshot();
    const [from = '0', to = ''] = range === WHOLE ? [] : range.split(':');
    const rows = table.visible(reader.snapshot, Number(from), to === '' ? Number.POSITIVE_INFINITY : Number(to));
    parts.seen?.(rows);
    for (let at = 0; at < rows.length; at += BLOCK_ROWS) {
      await clock.sleep(BLOCK_MS, signal);
      check(parts);
      const sent = rows.slice(at, at + BLOCK_ROWS).map((row) => sentRow(table, planned.schema, row));
      yield block(planned, sent, parts.origin);
      check(parts);
    }
  } finally {
    connection.removeEventListener('abort', letGo);
    signal.removeEventListener('abort', letGo);
    letGo();
  }
}

function check({ db, signal, connection }: ReadParts): void {
  signal.throwIfAborted();
  if (connection.aborted) throw new PipelineError('unavailable', 'The model closed the connection.');
  db.reach();
}

/** Waits while a transaction has the table for itself, but not for ever. */
async function lock(parts: ReadParts, { table }: TableSchema, reader: { snapshot: Snapshot | undefined }): Promise<ModelTable> {
  const { db, clock, signal, connection } = parts;
  const until = clock.monotonicMs() + LOCK_TIMEOUT_MS;
  for (;;) {
    const found = db.find(table);
    if (found === undefined) throw changed(table, 'it no longer exists');
    if (found.exclusive === undefined) {
      found.readers.add(reader);
      return found;
    }
    const left = until - clock.monotonicMs();
    if (left <= 0) throw new PipelineError('unavailable', `The lock of ${table} stayed taken.`);
    const nap = new AbortController();
    const awake = AbortSignal.any([signal, connection, nap.signal]);
    await Promise.race([db.wakeUps.next(awake), clock.sleep(left, awake)]);
    nap.abort();
    check(parts);
  }
}

function compare(table: ModelTable, planned: { readonly schema: TableSchema; readonly storage: string }, anyFile: boolean): void {
  const [oid, file] = planned.storage.split('/');
  const [oidNow, fileNow] = table.storage.split('/');
  const id = planned.schema.table;
  if (oid !== oidNow) throw changed(id, 'it is another table of the same name');
  if (!sameSchema(likeSent(table, planned.schema), planned.schema)) throw changed(id, 'its columns changed');
  if (!anyFile && file !== fileNow) throw changed(id, 'it was rewritten');
}

function changed(table: string, what: string): PipelineError {
  return new PipelineError('table-changed', `Table ${table} is not as it was planned: ${what}.`);
}

function block({ schema }: { readonly schema: TableSchema }, rows: readonly Row[], origin: Uint8Array): RangeOutput {
  const writer = new AvroWriter();
  for (const row of rows) {
    writer.raw(origin);
    for (const [index, column] of schema.columns.entries()) writeCell(writer, column.type, row[index] ?? null);
  }
  return { kind: 'block', block: { rows: rows.length, codec: 'null', block: writer.copy() } };
}
