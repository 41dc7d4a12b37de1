import type { Cell, KeyChanges, TableSchema } from '@nanosync/core';
import { AvroWriter, keyIndexes, UNCHANGED, writeCell } from '@nanosync/core';
import type { AvroBlock } from './avro-file.ts';
import { cellFields } from './avro-file.ts';
import type { Field } from './column-types.ts';
import { stagingFields } from './column-types.ts';

/** What a batch does to a key, as the staging table says it. */
export const ABSENT = 0;
export const ROW = 1;
export const PATCH = 2;
const STATES = { absent: ABSENT, row: ROW, patch: PATCH } as const;

/**
 * Our own columns of a staging table of changes: the key's place in the batch, what happens to it, whether it needs a row to be there, the
 * position of its first change, for the guard, that of its last one, and which cells of a patch the row must give (a 1 for each column).
 */
const OWN: readonly { readonly name: string; readonly sql: string; readonly avro: unknown }[] = [
  { name: 'ordinal', sql: 'INT64', avro: 'int' },
  { name: 'state', sql: 'INT64', avro: 'int' },
  { name: 'needs_base', sql: 'BOOL', avro: 'boolean' },
  { name: 'first', sql: 'STRING', avro: 'string' },
  { name: 'position', sql: 'STRING', avro: 'string' },
  { name: 'unchanged', sql: 'STRING', avro: 'string' },
];

/** Blocks of about this many bytes, so that one wide batch needs no wide buffer. */
const BLOCK_BYTES = 1024 * 1024;

/** The columns of a staging table of changes. */
export function changeFields(schema: TableSchema): readonly Field[] {
  return [...OWN.map(({ name, sql }) => ({ name, type: sql })), ...stagingFields(schema)];
}

/** The Avro schema of a file of changes. */
export function changeAvro(schema: TableSchema): unknown {
  return { type: 'record', name: 'Change', fields: [...OWN.map(({ name, avro }) => ({ name, type: avro })), ...cellFields(schema)] };
}

/** The outcomes of a batch as Avro blocks. */
export function changeBlocks(schema: TableSchema, keys: readonly KeyChanges[]): readonly AvroBlock[] {
  const writer = new AvroWriter(BLOCK_BYTES);
  const keyAt = keyIndexes(schema);
  const blocks: AvroBlock[] = [];
  let rows = 0;
  for (const [ordinal, key] of keys.entries()) {
    writeChange(writer, schema, keyAt, ordinal, key);
    rows++;
    if (writer.length < BLOCK_BYTES && ordinal < keys.length - 1) continue;
    blocks.push({ rows, bytes: writer.copy() });
    writer.reset();
    rows = 0;
  }
  return blocks;
}

function writeChange(
  writer: AvroWriter,
  schema: TableSchema,
  keyAt: readonly number[],
  ordinal: number,
  { key, changes, outcome }: KeyChanges,
): void {
  writer.int(ordinal);
  writer.int(STATES[outcome.state]);
  writer.boolean(outcome.needBase.length > 0);
  writer.string(changes[0]?.event.position ?? '');
  writer.string(outcome.position);
  writer.string(outcome.state === 'patch' ? unchangedOf(outcome.cells, keyAt) : '');
  for (const [index, { type }] of schema.columns.entries()) {
    const place = keyAt.indexOf(index);
    const cell = place >= 0 ? key[place] : outcome.state === 'absent' ? null : outcome.cells[index];
    writeCell(writer, type, cell ?? null);
  }
}

function unchangedOf(cells: readonly Cell[], keyAt: readonly number[]): string {
  if (!cells.includes(UNCHANGED)) return '';
  return cells.map((cell, index) => (cell === UNCHANGED && !keyAt.includes(index) ? '1' : '0')).join('');
}

/** The columns that some patch of a batch leaves out; key columns are never among them. */
export function leftOut(schema: TableSchema, keys: readonly KeyChanges[]): ReadonlySet<number> {
  const found = new Set<number>();
  for (const { outcome } of keys)
    if (outcome.state === 'patch') for (const [index, cell] of outcome.cells.entries()) if (cell === UNCHANGED) found.add(index);
  for (const index of keyIndexes(schema)) found.delete(index);
  return found;
}
