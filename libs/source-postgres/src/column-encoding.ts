import type { StoredColumn } from './storage.ts';
import { TYPE_OID } from './type-map.ts';

/** How to encode a column: a number instead of a function, because a switch in one place is what the engine compiles best. */
const ENCODING: Readonly<Record<number, number>> = {
  [TYPE_OID.bool]: 1,
  [TYPE_OID.int2]: 2,
  [TYPE_OID.int4]: 3,
  [TYPE_OID.int8]: 4,
  [TYPE_OID.time]: 4,
  [TYPE_OID.date]: 5,
  [TYPE_OID.timestamp]: 6,
  [TYPE_OID.timestamptz]: 6,
  [TYPE_OID.float8]: 7,
  [TYPE_OID.uuid]: 8,
  [TYPE_OID.jsonb]: 9,
};
const AS_BYTES = 10;
/** Encodings that need more than the bytes: the column's scale, and the hasher. */
export const AS_NUMERIC = 11;
export const AS_HASH = 12;
/** The length of each encoding's binary form; 0 where it varies. */
export const WIDTH = [0, 1, 2, 4, 8, 4, 8, 8, 16, 0, 0, 0, 0] as const;

/** The encoding of a column. */
export function encodingOf({ typeOid, type, hashed }: StoredColumn): number {
  if (hashed !== undefined) return AS_HASH;
  if (type.kind === 'decimal') return AS_NUMERIC;
  return ENCODING[typeOid] ?? AS_BYTES;
}
