import type { Cell, Row } from './cell.ts';
import { isComplete, UNCHANGED } from './cell.ts';
import type { SinkChange } from './ports/sink.ts';
import type { Position } from './position.ts';
import { comparePositions } from './position.ts';
import type { ColumnType, TableSchema } from './table.ts';
import { keyIndexes } from './table.ts';

/** Why a warehouse's type for a kind cannot hold a cell, or undefined when it can; says nothing about the value itself. */
export type NotHeld = (type: ColumnType, cell: Cell) => string | undefined;

/** A change that cannot be applied, and why. */
export interface Quarantine {
  readonly change: SinkChange;
  readonly reason: string;
}

/**
 * What a batch does to one key.
 * - `absent`: afterwards there is no row. - `row`: afterwards the row is `cells`, whatever was before.
 * - `patch`: where there is a row, its cells become `cells` except the UNCHANGED ones; where there is none, nothing is inserted.
 */
export interface KeyOutcome {
  readonly state: 'absent' | 'row' | 'patch';
  readonly cells: readonly Cell[];
  /** Position of the last change that took effect. */
  readonly position: Position;
  /** Changes that need a row to be there before the batch: without it a rowless one is dropped, another one quarantined. */
  readonly needBase: readonly SinkChange[];
  /** Changes that need a row and came after the key's delete in the same batch: quarantined, unless rowless. */
  readonly orphans: readonly SinkChange[];
}

/** All changes of one key in a batch, in order. */
export interface KeyChanges {
  readonly key: readonly Cell[];
  readonly changes: readonly SinkChange[];
  readonly outcome: KeyOutcome;
}

/** A folded batch: at most one outcome a key. */
export interface Folded {
  readonly keys: readonly KeyChanges[];
  readonly quarantined: readonly Quarantine[];
  /** Changes whose position is not above the one before of the same key. */
  readonly defects: number;
}

/** Why a change without a row to change is quarantined. */
export const NO_BASE_ROW = 'the change left cells out and there is no row to take them from';

/**
 * Folds row changes per key, in order. `floor`: changes below it were truncated away and have no effect. `notHeld` says what the
 * warehouse cannot hold.
 */
export function fold(schema: TableSchema, changes: readonly SinkChange[], floor: Position | null, notHeld: NotHeld): Folded {
  const keyAt = keyIndexes(schema);
  const byKey = new Map<string, { key: readonly Cell[]; changes: SinkChange[] }>();
  const quarantined: Quarantine[] = [];
  let defects = 0;
  for (const change of changes) {
    const { event } = change;
    if (event.op === 't' || (floor !== null && comparePositions(event.position, floor) < 0)) continue;
    const reason = unfit(schema, keyAt, change, notHeld);
    if (reason !== undefined) {
      quarantined.push({ change, reason });
      continue;
    }
    const id = change.key.toString('latin1');
    const known = byKey.get(id);
    const before = known?.changes.at(-1);
    if (before !== undefined && comparePositions(event.position, before.event.position) <= 0) defects++;
    else if (known === undefined) byKey.set(id, { key: keyCells(keyAt, change), changes: [change] });
    else known.changes.push(change);
  }
  const keys = [...byKey.values()].map(({ key, changes: ofKey }) => ({ key, changes: ofKey, outcome: outcomeOf(ofKey) }));
  return { keys, quarantined, defects };
}

/** The outcome of one key's changes, at least one, in order. */
export function outcomeOf(changes: readonly SinkChange[]): KeyOutcome {
  let state: KeyOutcome['state'] | undefined;
  let cells: readonly Cell[] = [];
  let position = changes[0]?.event.position as Position;
  const needBase: SinkChange[] = [];
  const orphans: SinkChange[] = [];
  for (const change of changes) {
    const { event } = change;
    const row = event.after;
    if (event.op === 'd' || row === null) {
      state = 'absent';
      cells = [];
    } else if (isComplete(row) && !event.rowless) {
      state = 'row';
      cells = row;
    } else if (state === 'absent') {
      orphans.push(change);
      continue;
    } else {
      // Invariant 'complete-images': what left cells out is never inserted.
      if (state !== 'row') needBase.push(change);
      cells = state === undefined ? row : merge(cells, row);
      state ??= 'patch';
    }
    position = event.position;
  }
  return { state: state ?? 'absent', cells, position, needBase, orphans };
}

function merge(under: readonly Cell[], over: Row): Cell[] {
  return over.map((cell, index) => (cell === UNCHANGED ? (under[index] as Cell) : cell));
}

/** Why a change can never be applied, whatever the table holds. */
function unfit(schema: TableSchema, keyAt: readonly number[], { event }: SinkChange, notHeld: NotHeld): string | undefined {
  const row = event.op === 'd' ? event.before : event.after;
  if (row === null) return 'the change has no row';
  if (row.length !== schema.columns.length) return 'the change has other columns than the table';
  for (const index of keyAt) {
    const cell = keyCell(event.before, event.after, index, event.op === 'd');
    const column = schema.columns[index];
    const reason = cell === undefined ? 'there is no value' : column === undefined ? undefined : notHeld(column.type, cell);
    if (reason !== undefined) return `key column ${column?.name}: ${reason}`;
  }
  if (event.op === 'd') return undefined;
  for (const [index, column] of schema.columns.entries()) {
    const reason = notHeld(column.type, row[index] as Cell);
    if (reason !== undefined) return `column ${column.name}: ${reason}`;
  }
  return undefined;
}

function keyCells(keyAt: readonly number[], { event }: SinkChange): Cell[] {
  return keyAt.map((index) => keyCell(event.before, event.after, index, event.op === 'd') as Cell);
}

/** A key's cell: of the image that counts, or of the other where that one left it out. */
function keyCell(before: Row | null, after: Row | null, index: number, deleted: boolean): Cell | undefined {
  const [first, second] = deleted ? [before, after] : [after, before];
  for (const row of [first, second]) {
    const cell = row?.[index];
    if (cell !== undefined && cell !== null && cell !== UNCHANGED) return cell;
  }
  return undefined;
}
