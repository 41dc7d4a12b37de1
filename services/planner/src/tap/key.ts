import { cellJson } from '@nanosync/api';
import type { Column, ColumnType, TableSchema } from '@nanosync/core';
import { AvroWriter, type CellValue, DATE_INFINITY, PipelineError, parseDecimal, TIMESTAMP_INFINITY, writeValue } from '@nanosync/core';
import type { Json, TapEntry } from './entry.ts';

/** A key as the bus has it, and as a decoded row shows it. */
export interface WantedKey {
  /** The canonical key bytes, which are the message key of its changes. */
  readonly bytes: Buffer;
  /** True for a row that has this key. */
  readonly matches: (entry: TapEntry) => boolean;
}

/**
 * A key as users write it: the value of the key column as it is; for a composite key the values in key order, `1,2`, or as JSON,
 * `["a,b", 2]` or `{"code": "a,b", "line": 2}`.
 */
export function parseKey(schema: TableSchema, text: string): WantedKey {
  const columns = schema.key.map((name) => schema.columns.find((column) => column.name === name) as Column);
  const texts = partsOf(schema, text);
  const values = columns.map((column, index) => parsePart(schema, column, texts[index] as string));
  const writer = new AvroWriter(256);
  for (const [index, column] of columns.entries()) writeValue(writer, column.type, values[index] as CellValue);
  const shown = columns.map((column, index) => cellJson(column.type, values[index] as CellValue));
  return {
    bytes: writer.copy(),
    matches: ({ table, fields }) => {
      const row = fields.row as { readonly [name: string]: Json } | undefined;
      return table === schema.table && columns.every((column, index) => row?.[column.name] === shown[index]);
    },
  };
}

function partsOf(schema: TableSchema, text: string): readonly string[] {
  const parts = schema.key.length === 1 ? [text] : (jsonParts(schema, text) ?? text.split(','));
  if (parts.length === schema.key.length && parts.every((part) => part !== undefined)) return parts as readonly string[];
  throw refused(schema, `has ${schema.key.length} columns`);
}

/** The parts of a JSON array or object; undefined when the text is neither. */
function jsonParts(schema: TableSchema, text: string): readonly (string | undefined)[] | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    const json = JSON.parse(text) as readonly unknown[] | Readonly<Record<string, unknown>>;
    const values = Array.isArray(json) ? json : schema.key.map((name) => (json as Readonly<Record<string, unknown>>)[name]);
    return values.map((value) => (value === undefined || value === null ? undefined : String(value)));
  } catch {
    return undefined;
  }
}

function parsePart(schema: TableSchema, column: Column, text: string): CellValue {
  try {
    return parseCell(column.type, text);
  } catch {
    throw refused(schema, `needs ${NAMES[column.type.kind]} for ${column.name}`);
  }
}

function refused(schema: TableSchema, why: string): PipelineError {
  const example = schema.key.length === 1 ? '--key <value>' : `--key ${schema.key.map((name) => `<${name}>`).join(',')}`;
  return new PipelineError('config', `The key of ${schema.table} is (${schema.key.join(', ')}) and ${why}.`, {
    hint: `Write ${example}${schema.key.length === 1 ? '' : ', or a JSON array'}.`,
  });
}

const NAMES: Readonly<Record<ColumnType['kind'], string>> = {
  bool: 'true or false',
  int16: 'a whole number',
  int32: 'a whole number',
  int64: 'a whole number',
  float64: 'a number',
  decimal: 'a number with at most as many decimals as the column',
  text: 'text',
  json: 'text',
  uuid: 'a UUID',
  bytes: 'bytes, as \\x and hexadecimal digits',
  date: 'a date (2026-01-31)',
  time: 'a time (12:34:56)',
  timestamp: 'a time (2026-01-31T12:34:56Z)',
};

/** The value behind a text; throws where there is none. */
function parseCell(type: ColumnType, text: string): CellValue {
  switch (type.kind) {
    case 'bool':
      return requireMatch(/^(?:(t|true)|f|false)$/i, text)[1] !== undefined;
    case 'int16':
    case 'int32':
      return Number(requireMatch(/^[+-]?\d{1,10}$/, text)[0]);
    case 'int64':
      return BigInt(requireMatch(/^-?\d{1,19}$/, text)[0]);
    case 'float64':
      return Number(requireMatch(/^[+-]?(?:\d[\d.eE+-]*|Infinity)$|^NaN$/, text)[0]);
    case 'decimal':
      return parseDecimal(text, type.scale);
    case 'text':
    case 'json':
      return text;
    case 'uuid':
      return requireMatch(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, text.toLowerCase())[0];
    case 'bytes':
      return Buffer.from(requireMatch(/^\\x((?:[0-9a-fA-F]{2})*)$/, text)[1] ?? '', 'hex');
    case 'date':
      return text === 'infinity'
        ? DATE_INFINITY
        : text === '-infinity'
          ? -DATE_INFINITY
          : Number(microsOf(`${text}T00:00:00Z`) / 86_400_000_000n);
    case 'time':
      return Number(microsOf(`1970-01-01T${text}Z`));
    case 'timestamp':
      if (text === 'infinity') return TIMESTAMP_INFINITY;
      if (text === '-infinity') return -TIMESTAMP_INFINITY;
      return microsOf(/(?:Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`);
  }
}

/** Microseconds since 1970 of an ISO time; Date itself ends at milliseconds. */
function microsOf(text: string): bigint {
  const match = requireMatch(/^(.*:\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)$/, text.replace(' ', 'T'));
  const ms = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(ms)) throw new RangeError('not a time');
  return BigInt(ms) * 1000n + BigInt((match[2] ?? '').padEnd(6, '0'));
}

function requireMatch(pattern: RegExp, text: string): RegExpExecArray {
  const match = pattern.exec(text);
  if (match === null) throw new RangeError('not of the form');
  return match;
}
