/** Stands for a column whose value a change left as it was and did not carry. It is a value of its own, never null. */
export const UNCHANGED: unique symbol = Symbol('unchanged');

/**
 * One value of a row on the change path, by the column's kind: bool -> boolean; int16, int32, date -> number;
 * int64, timestamp -> bigint; time, float64 -> number; decimal -> bigint (the unscaled digits); text, json, uuid -> string;
 * bytes -> Uint8Array. Row batches never take this form: they stay encoded.
 */
export type CellValue = boolean | number | bigint | string | Uint8Array;

/** A value, null, or "left as it was". */
export type Cell = CellValue | null | typeof UNCHANGED;

/** The cells of a row in column order. */
export type Row = readonly Cell[];

/** True when a row carries every cell. */
export function isComplete(row: Row): boolean {
  return !row.includes(UNCHANGED);
}
