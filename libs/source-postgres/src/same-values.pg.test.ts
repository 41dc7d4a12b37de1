import { zstdDecompressSync } from 'node:zlib';
import type { Cell, Row, Source, SourceTable, TableId } from '@nanosync/core';
import { AvroReader, readCell } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectTo, withConnection } from './connection.ts';
import { openPostgresSource } from './source.ts';
import { quiet, realClock } from './test-context.ts';
import { OWN_TYPES, TEXT_MATRIX, TYPE_MATRIX, typeName } from './type-matrix.ts';

let server: PostgresServer;
let source: Source;
beforeAll(async () => {
  server = await startPostgres();
  source = await openPostgresSource({ dsn: server.dsn(), applicationName: 'nanosync', log: quiet, clock: realClock });
});
afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await server.stop();
});

const MOMENTS: Readonly<Record<string, readonly string[]>> = {
  date: ["'1970-01-01'", "'0044-03-15 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'"],
  time: ["'00:00'", "'24:00'", "'23:59:59.999999'"],
  timestamp: ["'4713-01-01 BC'", "'294246-12-31 23:59:59.999999'", "'infinity'", "'-infinity'", "'1969-12-31 23:59:59.999999'"],
  timestamptz: ["'2024-02-29 12:34:56.789012+02'", "'infinity'", "'-infinity'", "'0001-01-01 00:00:00+00 BC'"],
};

async function snapshotRows(table: SourceTable): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const output of source.readRange(table, '0:', {
    targetBytes: 100_000,
    origin: new Uint8Array(0),
    signal: new AbortController().signal,
  })) {
    if (output.kind !== 'block') throw new Error(output.row.reason);
    const reader = new AvroReader(zstdDecompressSync(output.block.block));
    while (!reader.done) rows.push(table.schema.columns.map((column) => readCell(reader, column.type)));
  }
  return rows;
}

async function streamedRows(table: SourceTable, anchor: Awaited<ReturnType<Source['anchor']>>, count: number): Promise<Row[]> {
  const controller = new AbortController();
  const { schema, storage } = table;
  await using reader = await source.changes({
    pipeline: 'same',
    anchor,
    from: anchor.l0,
    tables: [{ schema, storage }],
    complete: () => true,
    signal: controller.signal,
  });
  const rows: Row[] = [];
  while (rows.length < count)
    for (const event of (await reader.next()) ?? []) if (event.kind === 'change' && event.after !== null) rows.push(event.after);
  controller.abort();
  return rows;
}

const comparable = (rows: readonly Row[]) =>
  rows.map((row) =>
    row.map((cell: Cell) => (cell instanceof Uint8Array ? Buffer.from(cell).toString('hex') : Object.is(cell, -0) ? '-0' : cell)),
  );

test('a row is the same to the last byte, read by the snapshot or delivered as a change', async () => {
  const matrix: [string, readonly string[]][] = [
    ...Object.entries(TYPE_MATRIX),
    ...Object.entries(MOMENTS),
    ...Object.entries(TEXT_MATRIX).map(([type, values]): [string, readonly string[]] => [typeName(type), values.map(([sql]) => sql)]),
    ['double precision', ["'-0'"]],
    ['real', ['3.4028235e38', '1e-45']],
    ['public.same[]', ["ARRAY[ROW('a b', 1.10, NULL)]::public.same[]"]],
    ['char(3)[]', ["'{a,bc}'"]],
  ];
  const table = 'public.everything';
  await withConnection(connectTo(server.dsn(), 'test'), 'setup', async (client) => {
    await client.query(`${OWN_TYPES}; CREATE TYPE public.same AS (t text, n numeric, i inet); CREATE TABLE public.m_plain ()`);
    await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY, ${matrix.map(([type], index) => `c${index} ${type}`).join(', ')})`);
  });
  const anchor = await source.anchor('same', 'id', [table as TableId]);
  const count = Math.max(...matrix.map(([, values]) => values.length));
  await withConnection(connectTo(server.dsn(), 'test'), 'fill', async (client) => {
    for (let row = 0; row < count; row++) {
      const cells = matrix.map(([type, values]) => (values[row] === undefined ? 'NULL' : `(${values[row]})::${type}`));
      await client.query(`INSERT INTO ${table} VALUES (${row}, ${cells.join(', ')})`);
    }
  });
  const [found] = await source.discover([table]);
  const snapshot = comparable(await snapshotRows(found as SourceTable));
  expect(comparable(await streamedRows(found as SourceTable, anchor, count))).toEqual(snapshot);
  expect(snapshot.length).toBe(count);
  await source.release('same', async () => true);
});
