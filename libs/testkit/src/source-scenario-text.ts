import { zstdDecompressSync } from 'node:zlib';
import type { Cell, Position, RangeOutput, Row, SourceEvent, SourceTable, TableId } from '@nanosync/core';
import { AvroReader, comparePositions, positionOf, readCell, readRowOrigin, sectionsOf, UNCHANGED } from '@nanosync/core';

/** Longer than any database keeps within the row. */
const LARGE_CHARS = 5000;
/** So many characters that five rows fill a page. */
const PADDED_CHARS = 1450;

/** The text that a scenario's word for a body stands for: `L...` is a large one, `P` one of a fifth of a page. */
export function bodyText(word: string, id: number): string {
  if (word.startsWith('L')) return `${word}:`.padEnd(LARGE_CHARS, `${word} `);
  return word === 'P' ? `${word}:`.padEnd(PADDED_CHARS, `${id} `) : word;
}

function cellText(cell: Cell | undefined): string {
  if (cell === UNCHANGED) return 'UNCHANGED';
  const text = String(cell);
  return text.length > 1000 ? text.slice(0, text.indexOf(':')) : text;
}

/** A row as a scenario writes it. */
export function rowLine(row: Row): string {
  return row.map(cellText).join(' ').trimEnd();
}

/** The rows that reading a range yielded. */
export function rowsOf({ schema }: SourceTable, output: RangeOutput): Row[] {
  if (output.kind !== 'block') throw new Error(output.row.reason);
  const { block, codec, rows } = output.block;
  const reader = new AvroReader(codec === 'zstandard' ? zstdDecompressSync(block) : block);
  return Array.from({ length: rows }, () => {
    readRowOrigin(reader);
    return schema.columns.map((column) => readCell(reader, column.type));
  });
}

/** The events of one scenario, over all its streams: the same place has the same name every time. */
export class Events {
  l0: Position | undefined;
  idle: Position | undefined;
  private last: Position | undefined;
  private readonly commits: Position[] = [];
  private readonly places = new Map<Position, string>();

  /** An event as a scenario writes it: its index within the transaction, and what it says; `other` is named. */
  line(event: Exclude<SourceEvent, { readonly kind: 'idle' }>, other: TableId): string {
    if (event.kind === 'commit') return `commit ${this.number(event.acknowledge)}`;
    const index = sectionsOf(event.position)[1] as bigint;
    if (this.isMoved(event)) return `${index} MOVED: another event had this place before`;
    return `${index} ${'table' in event && event.table === other ? 'other ' : ''}${words(event)}`;
  }

  /** The position of `commit 2`, `last` (the last commit that was met), `l0` or `idle`. */
  place(name: string): Position {
    if (name === 'last') return this.last ?? this.place('l0');
    const found = name === 'l0' ? this.l0 : name === 'idle' ? this.idle : this.commits[Number(name.split(' ')[1]) - 1];
    if (found === undefined) throw new Error(`the scenario has met no ${name}`);
    return found;
  }

  /** The place in the log of `commit 2`, `l0` or `idle`. */
  lsn(name: string): bigint {
    return sectionsOf(this.place(name))[0] as bigint;
  }

  /** What this value of the log is called. */
  name(lsn: bigint): string {
    const position = positionOf(lsn, 0n);
    if (position === this.l0) return 'l0';
    const at = this.commits.indexOf(position);
    if (at >= 0) return `commit ${at + 1}`;
    return position === this.idle ? 'idle' : 'elsewhere';
  }

  isBehindAll(position: Position): boolean {
    return this.commits.every((commit) => comparePositions(commit, position) < 0);
  }

  /** True when an earlier stream had something else at this place. */
  private isMoved(event: SourceEvent): boolean {
    if (event.kind !== 'change') return false;
    const what = `${event.table} ${event.op} ${String((event.after ?? event.before)?.[0])}`;
    const known = this.places.get(event.position) ?? what;
    this.places.set(event.position, known);
    return known !== what;
  }

  private number(position: Position): number {
    this.last = position;
    if (!this.commits.includes(position)) this.commits.push(position);
    return this.commits.indexOf(position) + 1;
  }
}

function words(event: Exclude<SourceEvent, { readonly kind: 'idle' | 'commit' }>): string {
  switch (event.kind) {
    case 'change': {
      const marks = [event.keyChange ? 'KEY' : '', event.completed ? 'COMPLETED' : '', event.rowless ? 'ROWLESS' : ''];
      const before = event.before === null ? '' : rowLine(event.before.filter((cell) => cell !== null));
      return [event.op, before, event.after === null ? '' : rowLine(event.after), ...marks].filter((word) => word !== '').join(' ');
    }
    case 'marker':
      return `marker ${event.marker.kind}`;
    case 'truncate':
      return 'truncate';
    default:
      return `${event.kind}: ${event.reason}`;
  }
}
