import type { Position } from '@nanosync/core';
import { positionOf, sectionsOf } from '@nanosync/core';

/** A byte address in the write-ahead log. Compared as a number, never as text: servers and libraries pad it differently. */
export type Lsn = bigint;

const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** Reads PostgreSQL's `16/B374D848`, with or without zero padding. */
export function parseLsn(text: string): Lsn {
  const match = LSN_TEXT.exec(text);
  if (match === null) throw new RangeError(`not an LSN: ${JSON.stringify(text.slice(0, 40))}`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** Writes an LSN as PostgreSQL prints it: two unpadded hexadecimal halves. */
export function formatLsn(lsn: Lsn): string {
  if (lsn < 0n || lsn > 0xffff_ffff_ffff_ffffn) throw new RangeError('an LSN must fit 64 unsigned bits');
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;
}

/**
 * The position of an index within the transaction that commits at this LSN. Index 0 is never a change: it stands before every
 * change of that commit. Changes count as {@link changeIndex} says.
 */
export function positionOfLsn(lsn: Lsn, index = 0n): Position {
  return positionOf(lsn, index);
}

/** The commit LSN of a position. */
export function lsnOf(position: Position): Lsn {
  return twoSections(position)[0];
}

/** The index within the transaction of a position. */
export function indexOf(position: Position): bigint {
  return twoSections(position)[1];
}

/**
 * The index of a published event: `ordinal` counts every row, truncate and message event of the transaction from 1 before any
 * filter, so that a repeated session gives equal positions. `sub` is 0 for a schema event, 1 for the change or the delete
 * half of a key change, 2 for its insert half.
 */
export function changeIndex(ordinal: number, sub: 0 | 1 | 2): bigint {
  return BigInt(ordinal) * 4n + BigInt(sub);
}

function twoSections(position: Position): readonly [bigint, bigint] {
  const [lsn, index, ...rest] = sectionsOf(position);
  if (lsn === undefined || index === undefined || rest.length > 0) throw new RangeError('not a position of a PostgreSQL source');
  return [lsn, index];
}
