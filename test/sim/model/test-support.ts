import type { Anchor, ChangesOptions, Row, SourceEvent, SourceTable, TableId, TableSchema } from '@nanosync/core';
import { AvroReader, readCell, readRowOrigin, rowOrigin, tableIdOf, UNCHANGED } from '@nanosync/core';
import { FakeClock } from '@nanosync/testkit';
import { randomOf } from '../../shared/random.ts';
import { ModelDatabase } from './database.ts';
import { openModelSource } from './source.ts';
import type { ModelTransaction } from './transaction.ts';

/** A table with a key, a name and a large text. */
export const ORDERS = tableIdOf('public', 'orders');
/** A value that is large to the model. */
export const LARGE = 'large '.repeat(5);

/** The schema of a table like {@link ORDERS}. */
export function schemaOf(table: TableId): TableSchema {
  const text = { kind: 'text' } as const;
  const columns = [
    { name: 'id', type: { kind: 'int64' } as const },
    { name: 'name', type: text },
    { name: 'body', type: text },
  ];
  return { table, columns, key: ['id'] };
}

/** A row of {@link ORDERS}. */
export function row(id: number, name = `name ${id}`, body = `body ${id}`): Row {
  return [BigInt(id), name, body];
}

/** A model with one table, its source, and the clock that moves them. */
export function modelOf(seed = 1, pageRows = 4) {
  const clock = new FakeClock();
  const db = new ModelDatabase({ schemas: [schemaOf(ORDERS)], random: randomOf(seed), clock, pageRows });
  return { clock, db, ...openModelSource(db, clock), settled: (...work: Promise<unknown>[]) => settled(clock, work) };
}

/** Everything that {@link modelOf} gives. */
export type Model = ReturnType<typeof modelOf>;

/** Moves time on until the work is done. */
async function settled(clock: FakeClock, work: readonly Promise<unknown>[]): Promise<void> {
  let open = true;
  void Promise.allSettled(work).then(() => {
    open = false;
  });
  await clock.advance(0);
  while (open) await clock.advance(clock.nextMs === undefined ? 1 : Math.max(0, clock.nextMs - clock.nowMs()));
}

/** Runs a transaction to its end. */
export function run(db: ModelDatabase, statements: (transaction: ModelTransaction) => readonly string[]): ModelTransaction {
  const transaction = open(db, statements);
  transaction.commit();
  transaction.becomeVisible();
  return transaction;
}

/** Runs statements that all must go through, and leaves the transaction open. */
export function open(db: ModelDatabase, statements: (transaction: ModelTransaction) => readonly string[]): ModelTransaction {
  const transaction = db.begin();
  const answers = statements(transaction);
  if (answers.some((answer) => answer !== 'done')) throw new Error(`a statement of the test was ${answers.join(', ')}`);
  return transaction;
}

/** Puts the first rows into the table. */
export function fill(db: ModelDatabase, rows: number, body?: string): void {
  run(db, (t) => Array.from({ length: rows }, (_, index) => t.insert(ORDERS, row(index + 1, `name ${index + 1}`, body))));
}

/** An anchor of the pipeline `p`. */
export async function anchored({ source, settled }: Model): Promise<Anchor> {
  const anchoring = source.anchor('p', 'a', [ORDERS]);
  await settled(anchoring);
  return anchoring;
}

/** The table as it is planned now. */
export async function planned({ source }: Model, table: TableId = ORDERS): Promise<SourceTable> {
  return (await source.discover([table]))[0] as SourceTable;
}

/** A stream from the anchor, and a way to read it until it has nothing more to say. */
export async function streaming(model: Model, anchor: Anchor, options: Partial<ChangesOptions> = {}) {
  const stopping = new AbortController();
  const reader = await model.source.changes({
    ...{ pipeline: 'p', anchor, from: anchor.l0, tables: [await planned(model)], complete: () => false, signal: stopping.signal },
    ...options,
  });
  let pending: Promise<readonly SourceEvent[] | undefined> | undefined;
  /** The events that arrive while the clock moves on so far, which does not end a wait. */
  const read = async (ms = 2000): Promise<SourceEvent[]> => {
    const events: SourceEvent[] = [];
    for (const until = model.clock.nowMs() + ms; model.clock.nowMs() < until; ) {
      pending ??= reader.next();
      let next: readonly SourceEvent[] | undefined;
      void pending.then(
        (found) => {
          next = found;
        },
        () => {},
      );
      await model.clock.advance(next === undefined ? 5 : 0);
      if (next === undefined) continue;
      events.push(...next);
      pending = undefined;
    }
    return events;
  };
  return { reader, read, stop: () => stopping.abort(), failure: () => pending ?? reader.next() };
}

/** An event in a few words, without commits and idle events. */
export function words(events: readonly SourceEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.kind === 'truncate') return ['truncate'];
    if (event.kind === 'marker') return [event.marker.kind];
    if (event.kind !== 'change') return [];
    const cells = (event.after ?? event.before ?? []).map((cell) => (cell === UNCHANGED ? 'unchanged' : String(cell)));
    const marks = [event.keyChange ? 'key' : '', event.completed ? 'completed' : '', event.rowless ? 'rowless' : ''].filter(Boolean);
    return [[event.op, ...(event.op === 'd' ? cells.slice(0, 1) : cells), ...marks].join(' ')];
  });
}

/** Reads a range to its end: its ids, and what made it fail. */
export async function idsOf(model: Model, table: SourceTable, range: string): Promise<number[]> {
  const reading = collect(model, table, range);
  await model.settled(reading);
  return reading;
}

/** The same without moving the clock. */
export async function collect({ source }: Model, table: SourceTable, range: string, signal: AbortSignal = new AbortController().signal) {
  const ids: number[] = [];
  for await (const output of source.readRange(table, range, { targetBytes: 4096, origin: rowOrigin(0, 'a'), signal })) {
    if (output.kind !== 'block') throw new Error(output.row.reason);
    const reader = new AvroReader(output.block.block);
    for (let at = 0; at < output.block.rows; at++) {
      readRowOrigin(reader);
      ids.push(Number(table.schema.columns.map((column) => readCell(reader, column.type))[0]));
    }
  }
  return ids;
}
