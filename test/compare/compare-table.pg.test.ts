import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareTable } from './compare-table.ts';
import { duckdbEnd } from './duckdb-end.ts';
import { openSink, type SinkFile } from './sink-table.ts';
import { connectSource } from './source-table.ts';

let server: PostgresServer;
let client: pg.Client;
let sink: SinkFile;
const directory = mkdtempSync(join(tmpdir(), 'nanosync-compare-'));

beforeAll(async () => {
  server = await startPostgres();
  client = await connectSource(server.dsn());
  sink = await openSink(join(directory, 'sink.duckdb'), 'READ_WRITE');
  await sink.connection.run('CREATE SCHEMA public');
});

afterAll(async () => {
  sink?.close();
  await client?.end();
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Each column: its types on both ends and literals of the same values, valid on both ends unless two are given. */
const COLUMNS: readonly (readonly [string, string, string, readonly (string | readonly [string, string])[]])[] = [
  ['flag', 'bool', 'BOOLEAN', ['true', 'false']],
  ['small', 'int2', 'SMALLINT', ['-32768', '7']],
  ['big', 'int8', 'BIGINT', ['9223372036854775807', '-1']],
  ['money', 'numeric(12,2)', 'DECIMAL(12,2)', ['-0.50', '100']],
  [
    'exact',
    'numeric',
    'VARCHAR',
    [
      ['1.10', "'1.10'"],
      ["'NaN'", "'NaN'"],
    ],
  ],
  ['ratio', 'float8', 'DOUBLE', ["'-Infinity'::float8", '0.1', '1e15', '1234567890123456.5', '5e-324', '-0.0', '1e-5', "'NaN'::float8"]],
  ['word', 'text', 'VARCHAR', ["''", "'Zoë 🤦 ~'", ["E'a\\x1fb'", "'a' || chr(31) || 'b'"], ["E'\\x1e'", 'chr(30)']]],
  ['padded', 'char(5)', 'VARCHAR', [["'ab'", "'ab   '"]]],
  ['doc', 'json', 'JSON', ['\'{"v": 1.10,  "v": 2}\'']],
  ['docb', 'jsonb', 'VARCHAR', ['\'{"a": 1.10}\'']],
  [
    'raw',
    'bytea',
    'BLOB',
    [
      ["'\\x00ff'", "unhex('00ff')"],
      ["''", "''"],
    ],
  ],
  ['uid', 'uuid', 'UUID', ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"]],
  [
    'stamp',
    'timestamptz',
    'TIMESTAMPTZ',
    ["'2024-02-29 23:59:59.999999+00'", "'infinity'", ["'0044-03-15 00:00:00+00 BC'", "'0044-03-15 (BC) 00:00:00+00'"]],
  ],
  ['local', 'timestamp', 'TIMESTAMP', ["'1969-12-31 23:59:59.1'", "'-infinity'"]],
  ['day', 'date', 'DATE', ["'2024-02-29'", "'infinity'"]],
  ['clock', 'time', 'TIME', ["'24:00:00'", "'10:11:12.5'"]],
];

const literals = (values: readonly (string | readonly [string, string])[], row: number) => {
  const value = values[row % (values.length + 1)] ?? 'NULL';
  return typeof value === 'string' ? ([value, value] as const) : value;
};

test('equal cells of every type compare as equal, and each single spoiled cell is found and named', async () => {
  await client.query(
    `CREATE TABLE public.types (code text, part int, ${COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ')}, PRIMARY KEY (code, part))`,
  );
  await sink.connection.run(
    `CREATE TABLE public.types (code VARCHAR, part INTEGER, ${COLUMNS.map(([name, , type]) => `${name} ${type}`).join(', ')}, extra_of_sink INTEGER)`,
  );
  for (let row = 0; row < 9; row++) {
    const cells = COLUMNS.map(([, , , values]) => literals(values, row));
    await client.query(`INSERT INTO public.types VALUES ('k${row % 4}', ${row}, ${cells.map(([source]) => source).join(', ')})`);
    await sink.connection.run(`INSERT INTO public.types VALUES ('k${row % 4}', ${row}, ${cells.map(([, value]) => value).join(', ')}, 1)`);
  }
  expect(await compareTable(client, duckdbEnd(sink), 'public.types')).toEqual({
    table: 'public.types',
    sourceRows: 9,
    sinkRows: 9,
    missing: 0,
    extra: 0,
    different: 0,
    findings: [],
  });
  for (const [name, , , values] of COLUMNS) {
    const [, original] = literals(values, 0);
    await sink.connection.run(`UPDATE public.types SET ${name} = NULL WHERE part = 0`);
    const { findings, different } = await compareTable(client, duckdbEnd(sink), 'public.types');
    expect({ findings, different }).toEqual({ findings: [`public.types (code=k0, part=0): differs in ${name}`], different: 1 });
    await sink.connection.run(`UPDATE public.types SET ${name} = ${original} WHERE part = 0`);
  }
  await sink.connection.run(`UPDATE public.types SET word = 'a' || chr(31) || 'c', day = DATE '1999-01-01' WHERE part = 2`);
  expect((await compareTable(client, duckdbEnd(sink), 'public.types')).findings).toEqual([
    'public.types (code=k2, part=2): differs in word, day',
  ]);
});

test('doubles of any bits have the same text on both ends', async () => {
  const doubles = Float64Array.from({ length: 4000 }, (_, index) => {
    const bits = new BigUint64Array([(BigInt(index) * 0x9e37_79b9_7f4a_7c15n + 0x1234_5678_9abcn) & 0xffff_ffff_ffff_ffffn]);
    const any = new Float64Array(bits.buffer)[0] ?? 0;
    return index % 2 === 0 ? any : (index - 2000.5) * 10 ** ((index % 40) - 18);
  });
  await client.query('CREATE TABLE public.doubles (id int PRIMARY KEY, x float8)');
  await sink.connection.run('CREATE TABLE public.doubles (id INTEGER, x DOUBLE)');
  await client.query('INSERT INTO public.doubles SELECT n, x FROM unnest($1::float8[]) WITH ORDINALITY AS u(x, n)', [
    [...doubles].map(String),
  ]);
  const rows = [...doubles].map((x, index) => `(${index + 1}, '${x}'::DOUBLE)`);
  await sink.connection.run(`INSERT INTO public.doubles VALUES ${rows.join(', ')}`);
  expect(await compareTable(client, duckdbEnd(sink), 'public.doubles')).toMatchObject({
    sourceRows: 4000,
    different: 0,
    missing: 0,
    extra: 0,
  });
});

test('a table of more columns than one call of concat_ws takes is compared whole', async () => {
  const names = Array.from({ length: 230 }, (_, index) => `c${index}`);
  await client.query(`CREATE TABLE public.broad (id int PRIMARY KEY, ${names.map((name) => `${name} text`).join(', ')})`);
  await sink.connection.run(`CREATE TABLE public.broad (id INTEGER, ${names.map((name) => `${name} VARCHAR`).join(', ')})`);
  const insert = `INSERT INTO public.broad VALUES (1, ${names.map((name) => `'${name}'`).join(', ')})`;
  await client.query(insert);
  await sink.connection.run(insert);
  expect(await compareTable(client, duckdbEnd(sink), 'public.broad')).toMatchObject({ sinkRows: 1, different: 0, findings: [] });
  await sink.connection.run("UPDATE public.broad SET c7 = 'x', c140 = 'x', c229 = NULL");
  expect((await compareTable(client, duckdbEnd(sink), 'public.broad')).findings).toEqual([
    'public.broad (id=1): differs in c7, c140, c229',
  ]);
});

test('a column that is kept back is not compared, and is said where the sink has it', async () => {
  await client.query("CREATE TABLE public.kept (id int PRIMARY KEY, secret text); INSERT INTO public.kept VALUES (1, 'x')");
  await sink.connection.run('CREATE TABLE public.kept (id INTEGER); INSERT INTO public.kept VALUES (1)');
  const compare = () => compareTable(client, duckdbEnd(sink), 'public.kept', { excluded: ['secret'] });
  expect(await compare()).toMatchObject({ sourceRows: 1, sinkRows: 1, different: 0, findings: [] });
  await sink.connection.run('ALTER TABLE public.kept ADD COLUMN secret VARCHAR');
  await expect(compare()).rejects.toThrow('public.kept shows at the sink what is to be kept back: secret');
});

test('a table or column that the sink lacks is said', async () => {
  await client.query('CREATE TABLE public.absent (id int PRIMARY KEY)');
  await expect(compareTable(client, duckdbEnd(sink), 'public.absent')).rejects.toThrow('public.absent lacks at the sink: the whole table');
});
