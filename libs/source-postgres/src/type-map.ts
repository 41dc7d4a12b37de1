import type { ColumnType } from '@nanosync/core';

/** The built-in types that have a kind of their own; their OIDs are fixed in every PostgreSQL. */
export const TYPE_OID = {
  bool: 16,
  bytea: 17,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  json: 114,
  float8: 701,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
} as const;

const TEXT: ColumnType = { kind: 'text' };

const KINDS: ReadonlyMap<number, ColumnType> = new Map<number, ColumnType>([
  [TYPE_OID.bool, { kind: 'bool' }],
  [TYPE_OID.bytea, { kind: 'bytes' }],
  [TYPE_OID.name, TEXT],
  [TYPE_OID.int8, { kind: 'int64' }],
  [TYPE_OID.int2, { kind: 'int16' }],
  [TYPE_OID.int4, { kind: 'int32' }],
  [TYPE_OID.text, TEXT],
  [TYPE_OID.json, { kind: 'json' }],
  [TYPE_OID.float8, { kind: 'float64' }],
  [TYPE_OID.bpchar, TEXT],
  [TYPE_OID.varchar, TEXT],
  [TYPE_OID.date, { kind: 'date' }],
  [TYPE_OID.time, { kind: 'time' }],
  [TYPE_OID.timestamp, { kind: 'timestamp', zoned: false }],
  [TYPE_OID.timestamptz, { kind: 'timestamp', zoned: true }],
  [TYPE_OID.uuid, { kind: 'uuid' }],
  [TYPE_OID.jsonb, { kind: 'json' }],
]);

/**
 * What a column of this type holds. Everything without a kind of its own (float4, arrays, enums, domains over anything,
 * ranges, intervals, composites, numeric without a precision that fits 38 digits) is text in PostgreSQL's own text form.
 */
export function columnTypeOf(typeOid: number, typmod: number): ColumnType {
  if (typeOid === TYPE_OID.numeric) return numericType(typmod);
  return KINDS.get(typeOid) ?? TEXT;
}

/** True when the snapshot reads this column in binary; the others are read as the text that their output function gives. */
export function readsBinary(typeOid: number, typmod: number): boolean {
  if (typeOid === TYPE_OID.numeric) return numericType(typmod).kind === 'decimal';
  return KINDS.has(typeOid);
}

/**
 * The expression that yields a column's text exactly as pgoutput sends it, namely by the type's output function. A cast to
 * text does not: it gives `true` for `t` under a domain, `10.0.0.1/32` for the inet `10.0.0.1`, and cuts bpchar's blanks.
 * `IS DISTINCT FROM NULL` because `IS NULL` is also true for a composite whose fields are all null.
 */
export function outputText(quotedColumn: string): string {
  return `CASE WHEN ${quotedColumn} IS DISTINCT FROM NULL THEN pg_catalog.format('%s', ${quotedColumn}) END`;
}

function numericType(typmod: number): ColumnType {
  if (typmod < 4) return TEXT;
  const precision = ((typmod - 4) >> 16) & 0xffff;
  // Eleven bits, signed: since PostgreSQL 15 the scale may be negative or exceed the precision.
  const scale = (((typmod - 4) & 0x7ff) ^ 0x400) - 0x400;
  return scale >= 0 && scale <= precision && precision <= 38 ? { kind: 'decimal', precision, scale } : TEXT;
}
