import type { Message, Position } from '@nanosync/core';
import { comparePositions } from '@nanosync/core';
import type { Bound } from './bound.ts';
import type { TapEntry } from './entry.ts';
import type { TapSelection } from './selection.ts';

/** True for an entry that is asked for; `message` is the one it was decoded from. */
export function isWanted(selection: TapSelection, entry: TapEntry, message: Message): boolean {
  if (entry.kind === 'undecodable') return true; // Whoever looks must not take it for absent.
  if (entry.kind === 'task' && entry.fields.pipeline !== selection.pipeline) return false;
  if (entry.table !== null && !selection.tables.has(entry.table)) return false;
  if (entry.kind === 'change' && !selection.words.has('changes')) return false;
  if (entry.kind === 'control' && !selection.words.has('control')) return false;
  if (!hasKey(selection, entry, message)) return false;
  return !isBefore(selection.from, entry) && !isAfter(selection.to, entry);
}

/** The position of a change or control event. */
export function positionOfEntry({ kind, fields }: TapEntry): Position | undefined {
  return kind === 'change' || kind === 'control' ? (fields.position as Position) : undefined;
}

/** True when the entry lies before the bound. */
export function isBefore(bound: Bound, entry: TapEntry): boolean {
  return order(bound, entry) < 0;
}

function isAfter(bound: Bound | undefined, entry: TapEntry): boolean {
  return bound !== undefined && order(bound, entry) > 0;
}

/** Negative when the entry is before the bound, positive when after; what has no position is at every position. */
function order(bound: Bound, entry: TapEntry): number {
  if (bound.at === 'time') return entry.timestampMs - bound.ms;
  const position = positionOfEntry(entry);
  if (bound.at !== 'position' || position?.length !== bound.position.length) return 0;
  return comparePositions(position, bound.position);
}

function hasKey({ key }: TapSelection, entry: TapEntry, message: Message): boolean {
  if (key === undefined) return true;
  switch (entry.kind) {
    case 'row':
      return key.matches(entry);
    case 'change': // A truncation concerns every key.
      return entry.fields.op === 't' || key.bytes.equals(message.key);
    case 'quarantined':
      return key.bytes.equals(message.key);
    default:
      return false;
  }
}
