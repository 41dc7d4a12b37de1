import type { PostgresServer } from '@nanosync/testkit';
import { clusterStack, startPostgres } from '@nanosync/testkit';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BigQueryTables, bigqueryEnd, bigqueryWarehouse } from './bigquery-end.ts';
import { queryAll, queryPages } from './bigquery-rest.ts';
import { compareTable } from './compare-table.ts';
import { connectSource } from './source-table.ts';
import { tamper } from './tamper.ts';

let server: PostgresServer;
let client: pg.Client;
let place: BigQueryTables;
const DATASET = 'compared';

beforeAll(async () => {
  const { bigquery } = await clusterStack('bigquery');
  place = { ...bigquery, dataset: DATASET, nameOf: (table) => table.replace('.', '_') };
  server = await startPostgres();
  client = await connectSource(server.dsn());
  const datasets = `${place.url}/bigquery/v2/projects/${place.project}/datasets`;
  await fetch(datasets, { method: 'POST', body: JSON.stringify({ datasetReference: { datasetId: DATASET } }) });
});

afterAll(async () => {
  await client?.end();
  await server?.stop();
});

/** Each column: its types on both ends and literals of the same values, on PostgreSQL and on BigQuery. */
const COLUMNS: readonly (readonly [string, string, string, readonly (readonly [string, string])[]])[] = [
  [
    'flag',
    'bool',
    'BOOL',
    [
      ['true', 'true'],
      ['false', 'false'],
    ],
  ],
  [
    'big',
    'int8',
    'INT64',
    [
      ['9223372036854775807', '9223372036854775807'],
      ['-1', '-1'],
    ],
  ],
  [
    'money',
    'numeric(12,2)',
    'NUMERIC(12, 2)',
    [
      ['-0.50', "NUMERIC '-0.50'"],
      ['100', "NUMERIC '100'"],
      ['0', "NUMERIC '0'"],
    ],
  ],
  [
    'exact',
    'numeric',
    'STRING',
    [
      ['1.10', "'1.10'"],
      ["'NaN'", "'NaN'"],
    ],
  ],
  [
    'ratio',
    'float8',
    'FLOAT64',
    [
      ['0.1', '0.1'],
      ["'-Infinity'::float8", "CAST('-inf' AS FLOAT64)"],
      ['5e-324', '5e-324'],
      ["'-0'::float8", '-0.0'],
      ["'NaN'::float8", "CAST('nan' AS FLOAT64)"],
      ['1234567890123456.5', '1234567890123456.5'],
    ],
  ],
  [
    'word',
    'text',
    'STRING',
    [
      ["''", "''"],
      ["'Zoë 🤦 ~'", "'Zoë 🤦 ~'"],
      ["E'a\\x1fb'", "CONCAT('a', CHR(31), 'b')"],
    ],
  ],
  ['doc', 'jsonb', 'STRING', [['\'{"a": 1.10}\'', '\'{"a": 1.10}\'']]],
  [
    'raw',
    'bytea',
    'BYTES',
    [
      ["'\\x00ff'", "FROM_HEX('00ff')"],
      ["''", "FROM_HEX('')"],
    ],
  ],
  ['uid', 'uuid', 'STRING', [["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]]],
  [
    'stamp',
    'timestamptz',
    'TIMESTAMP',
    [
      ["'2024-02-29 23:59:59.999999+00'", "TIMESTAMP '2024-02-29 23:59:59.999999+00'"],
      ["'0001-01-01 00:00:00+00'", "TIMESTAMP '0001-01-01 00:00:00+00'"],
    ],
  ],
  [
    'local',
    'timestamp',
    'DATETIME',
    [
      ["'1969-12-31 23:59:59.1'", "DATETIME '1969-12-31 23:59:59.1'"],
      ["'9999-12-31 23:59:59.999999'", "DATETIME '9999-12-31 23:59:59.999999'"],
    ],
  ],
  [
    'day',
    'date',
    'DATE',
    [
      ["'2024-02-29'", "DATE '2024-02-29'"],
      ["'0001-01-01'", "DATE '0001-01-01'"],
    ],
  ],
  ['clock', 'time', 'TIME', [["'10:11:12.5'", "TIME '10:11:12.5'"]]],
];

const literals = (values: readonly (readonly [string, string])[], row: number) => values[row % (values.length + 1)] ?? ['NULL', 'NULL'];
const compare = (table: string) => compareTable(client, bigqueryEnd(place), table);
const bigquery = (sql: string) => queryAll(place, sql.replaceAll('$', `\`${DATASET}\``));

test('equal cells of every type compare as equal, and each single spoiled cell is found and named', async () => {
  const types = (end: 1 | 2) => COLUMNS.map((column) => `${column[0]} ${column[end]}`).join(', ');
  await client.query(`CREATE TABLE public.types (code text, part int, ${types(1)}, PRIMARY KEY (code, part))`);
  await bigquery(`CREATE OR REPLACE TABLE $.public_types (code STRING, part INT64, ${types(2)}, extra_of_sink INT64)`);
  for (let row = 0; row < 9; row++) {
    const cells = COLUMNS.map(([, , , values]) => literals(values, row));
    await client.query(`INSERT INTO public.types VALUES ('k${row % 4}', ${row}, ${cells.map(([source]) => source).join(', ')})`);
    await bigquery(`INSERT INTO $.public_types VALUES ('k${row % 4}', ${row}, ${cells.map(([, value]) => value).join(', ')}, 1)`);
  }
  expect(await compare('public.types')).toEqual({
    ...{ table: 'public.types', sourceRows: 9, sinkRows: 9, missing: 0, extra: 0, different: 0, findings: [] },
  });
  for (const [name, , , values] of COLUMNS) {
    await bigquery(`UPDATE $.public_types SET ${name} = NULL WHERE part = 0`);
    const { findings, different } = await compare('public.types');
    expect({ findings, different }).toEqual({ findings: [`public.types (code=k0, part=0): differs in ${name}`], different: 1 });
    await bigquery(`UPDATE $.public_types SET ${name} = ${literals(values, 0)[1]} WHERE part = 0`);
  }
});

test('doubles of any bits are compared bit by bit', async () => {
  const doubles = Float64Array.from({ length: 2000 }, (_, index) => {
    const bits = new BigUint64Array([(BigInt(index) * 0x9e37_79b9_7f4a_7c15n + 0x1234_5678_9abcn) & 0xffff_ffff_ffff_ffffn]);
    const any = new Float64Array(bits.buffer)[0] ?? 0;
    return index % 2 === 0 ? any : (index - 1000.5) * 10 ** ((index % 40) - 18);
  });
  const finite = [...doubles].filter(Number.isFinite);
  await client.query('CREATE TABLE public.doubles (id int PRIMARY KEY, x float8)');
  await client.query('INSERT INTO public.doubles SELECT n, x FROM unnest($1::float8[]) WITH ORDINALITY AS u(x, n)', [finite.map(String)]);
  const rows = finite.map((x, index) => `(${index + 1}, CAST('${x}' AS FLOAT64))`);
  await bigquery('CREATE OR REPLACE TABLE $.public_doubles (id INT64, x FLOAT64)');
  await bigquery(`INSERT INTO $.public_doubles VALUES ${rows.join(', ')}`);
  expect(await compare('public.doubles')).toMatchObject({ sourceRows: finite.length, different: 0, missing: 0, extra: 0 });
});

test('every page of a large table is read, and what was spoiled behind a view is found', async () => {
  const rows = 50_000;
  const description = (id: string) => `concat('description of ', ${id}, '${'.'.repeat(120)}')`;
  await client.query(
    `CREATE TABLE public.products (id int PRIMARY KEY, description text);
     INSERT INTO public.products SELECT i, ${description('i')} FROM generate_series(1, ${rows}) AS i`,
  );
  await bigquery(`CREATE OR REPLACE TABLE $.physical AS SELECT id, ${description('CAST(id AS STRING)')} AS description
                  FROM UNNEST(GENERATE_ARRAY(1, ${rows})) AS id`);
  await bigquery('CREATE OR REPLACE VIEW $.public_products AS SELECT id, description FROM $.physical');
  const equal = { sourceRows: rows, sinkRows: rows, missing: 0, extra: 0, different: 0 };
  expect(await compare('public.products')).toMatchObject(equal);
  const warehouse = bigqueryWarehouse(place);
  {
    await using copy = await warehouse.copyOf('public.products');
    const spoiled = await tamper(copy, 'public.products', 'cell');
    await using sink = await copy.open();
    expect(await compareTable(client, sink, 'public.products')).toMatchObject({ ...equal, different: 1, findings: [spoiled] });
  }
  expect(await compare('public.products')).toMatchObject(equal);
  const said = [await tamper(warehouse, 'public.products', 'drop'), await tamper(warehouse, 'public.products', 'double')];
  expect(await compare('public.products')).toMatchObject({ ...equal, missing: 1, extra: 1, findings: said.reverse() });
  expect(await bigquery(`SELECT table_name FROM $.INFORMATION_SCHEMA.TABLES WHERE table_name LIKE 'nanosync_compared%'`)).toEqual([]);
});

test('what BigQuery refuses is an error, however the emulator says it, and an absent table is said to be', async () => {
  await expect(queryPages(place, 'SELECT nothing FROM nowhere').next()).rejects.toThrow(/BigQuery (?:answered|refused)/);
  await client.query('CREATE TABLE public.absent (id int PRIMARY KEY)');
  await expect(compare('public.absent')).rejects.toThrow('public.absent lacks at the sink: the whole table');
});
