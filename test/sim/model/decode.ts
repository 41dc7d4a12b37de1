import type { Marker, Position, Row, SourceEvent, TableId } from '@nanosync/core';
import { positionOf, UNCHANGED } from '@nanosync/core';
import type { Logged, LoggedWrite } from './log.ts';
import type { ModelTable } from './table.ts';

/** What an event lacks, and where it may be read. */
export interface Lack {
  readonly table: ModelTable;
  readonly key: string;
  /** Places of the cells that the log left out. */
  readonly cells: readonly number[];
  readonly xid: number;
  readonly commitLsn: bigint;
  /** False where it is read only if the table's horizon reaches it. */
  readonly always: boolean;
}

/** A decoded event on its way; `lack` until it is whole, without `event` when it turned out to have nothing to say. */
export interface Pending {
  event: SourceEvent | undefined;
  lack: Lack | undefined;
}

/** What decoding is told about its stream. */
export interface DecodeOptions {
  readonly pipeline: string;
  readonly largeChars: number;
  /** The table, if it is one that the stream was asked for. */
  readonly table: (table: TableId) => ModelTable | undefined;
  readonly complete: (table: TableId) => boolean;
  readonly begun: (table: TableId, position: Position) => boolean;
}

/** The events of one transaction in stream order, decoded as they are asked for; `writes` are those of it that are streamed. */
export function* decode(logged: Logged, writes: readonly LoggedWrite[], options: DecodeOptions): Generator<Pending> {
  const { lsn, xid: txId, commitMs } = logged;
  let ordinal = 0;
  const at = (sub: bigint): Position => positionOf(lsn, BigInt(ordinal) * 4n + sub);
  for (const write of writes) {
    const table = options.table(write.table);
    if (table === undefined || !options.begun(write.table, positionOf(lsn, 0n))) continue;
    ordinal++;
    if (write.kind === 'truncate') yield whole({ kind: 'truncate', table: write.table, position: at(1n), txId, commitMs });
    else yield* changes(logged, write, table, { options, at });
  }
  if (logged.marker !== null) {
    ordinal++;
    const marker = ours(logged.marker, options.pipeline);
    if (marker !== undefined) yield whole({ kind: 'marker', marker, position: at(1n), commitMs });
  }
  yield whole({ kind: 'commit', position: at(ordinal === 0 ? 0n : 2n), acknowledge: positionOf(lsn, 0n), commitMs });
}

interface Context {
  readonly options: DecodeOptions;
  readonly at: (sub: bigint) => Position;
}

function* changes(logged: Logged, { before, after }: LoggedWrite, table: ModelTable, { options, at }: Context): Generator<Pending> {
  const { xid: txId, commitMs } = logged;
  const id = table.schema.table;
  const keyChange = before !== null && after !== null && table.keyOf(before) !== table.keyOf(after);
  const common = { kind: 'change', table: id, rowless: false, keyChange, completed: false, txId, commitMs } as const;
  if (before !== null && (after === null || keyChange))
    yield whole({ ...common, op: 'd', before: table.keyOnly(before), after: null, position: at(1n) });
  if (after === null) return;
  const op = before === null || keyChange ? 'c' : 'u';
  const row = before === null ? after : withoutUntouched(table, before, after, options.largeChars);
  const event = { ...common, op, before: null, after: row, position: at(keyChange ? 2n : 1n) } as const;
  const cells = row.flatMap((cell, place) => (cell === UNCHANGED ? [place] : []));
  if (cells.length === 0) return yield whole(event);
  const always = keyChange || options.complete(id);
  yield { event, lack: { table, key: table.keyOf(after), cells, xid: txId, commitLsn: logged.lsn, always } };
}

function whole(event: SourceEvent): Pending {
  return { event, lack: undefined };
}

function withoutUntouched({ schema }: ModelTable, before: Row, after: Row, largeChars: number): Row {
  return after.map((cell, place) => {
    const large = typeof cell === 'string' && cell.length > largeChars && cell === before[place];
    return large && !schema.key.includes(schema.columns[place]?.name ?? '') ? UNCHANGED : cell;
  });
}

function ours(marker: Marker, pipeline: string): Marker | undefined {
  return marker.pipeline === pipeline ? marker : undefined;
}
