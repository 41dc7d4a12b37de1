import { randomInt } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import type { Cell, RangeOutput, SourceTable, TableSchema } from '@nanosync/core';
import { AvroReader, formatDecimal, readCell, readRowOrigin, rowBlockSchemaJson, rowOrigin, TIMESTAMP_INFINITY } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { avroOracle, startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Connect } from './connection.ts';
import { connectTo } from './connection.ts';
import { discoverTables } from './discovery.ts';
import { IdleConnections } from './idle-connections.ts';
import { pageRanges } from './partitioner.ts';
import type { EncodedOutput } from './row-encoder.ts';
import { RowEncoder } from './row-encoder.ts';
import { readRange, WHOLE } from './snapshot-reader.ts';
import { parseStorage } from './storage.ts';
import { tableSize } from './table-size.ts';
import { realClock } from './test-context.ts';
import { OWN_TYPES, TEXT_MATRIX, TYPE_MATRIX, typeName } from './type-matrix.ts';

let server: PostgresServer;
let connect: Connect;
let connections: IdleConnections;
let admin: Client;
beforeAll(async () => {
  server = await startPostgres({ settings: { autovacuum: 'off' } });
  connect = connectTo(server.dsn(), 'nanosync');
  connections = new IdleConnections(connect, realClock, 'snapshot');
  admin = await connect.open('test', { lockTimeoutMs: 0 });
});
afterAll(async () => {
  await connections[Symbol.asyncDispose]();
  await admin.end();
  await server.stop();
});

async function discover(name: string): Promise<SourceTable> {
  return (await discoverTables(admin, connect, [`public.${name}`]))[0] as SourceTable;
}

const ORIGIN = rowOrigin(7, 'attempt');

async function read(
  table: SourceTable,
  range: string,
  options: { targetBytes?: number; signal?: AbortSignal } = {},
): Promise<RangeOutput[]> {
  const { targetBytes = 512 * 1024, signal = new AbortController().signal } = options;
  return collect(readRange(connections, connect, { table, range, targetBytes, origin: ORIGIN, signal }));
}

async function collect(outputs: AsyncIterable<RangeOutput>): Promise<RangeOutput[]> {
  const collected: RangeOutput[] = [];
  for await (const output of outputs) collected.push(output);
  return collected;
}

function rowsOf(schema: TableSchema, outputs: readonly RangeOutput[]): Cell[][] {
  return outputs.flatMap((output) =>
    output.kind === 'block' ? decode(schema, zstdDecompressSync(output.block.block), output.block.rows) : [],
  );
}

function decode(schema: TableSchema, bytes: Uint8Array, rows: number): Cell[][] {
  const reader = new AvroReader(bytes);
  const decoded = Array.from({ length: rows }, () => {
    expect(readRowOrigin(reader)).toEqual({ partition: 7, attempt: 'attempt' });
    return schema.columns.map((column) => readCell(reader, column.type));
  });
  expect(reader.done).toBe(true);
  return decoded;
}

/** A cell as PostgreSQL prints it, from the decoded form. */
function asText(schema: TableSchema, index: number, cell: Cell): unknown {
  const type = schema.columns[index]?.type;
  if (cell === null) return null;
  switch (type?.kind) {
    case 'bool':
      return cell ? 't' : 'f';
    case 'decimal':
      return formatDecimal(cell as bigint, type.scale);
    case 'bytes':
      return `\\x${Buffer.from(cell as Uint8Array).toString('hex')}`;
    default:
      return String(cell);
  }
}

test('every type arrives as it is, read by us and by an independent Avro reader', async () => {
  await admin.query(
    `CREATE TABLE public.m_plain (id int PRIMARY KEY, ${Object.keys(TYPE_MATRIX)
      .map((type, i) => `c${i} ${type}`)
      .join(', ')})`,
  );
  const rows = Math.max(...Object.values(TYPE_MATRIX).map((values) => values.length));
  for (let row = 0; row < rows; row++) {
    const cells = Object.entries(TYPE_MATRIX).map(([type, values]) => (values[row] === undefined ? 'NULL' : `(${values[row]})::${type}`));
    await admin.query(`INSERT INTO public.m_plain VALUES (${row}, ${cells.join(', ')})`);
  }
  const table = await discover('m_plain');
  const outputs = await read(table, '0:');
  const decoded = rowsOf(table.schema, outputs);
  const { rows: expected } = await admin.query({ text: 'SELECT * FROM public.m_plain ORDER BY ctid', rowMode: 'array' });
  const texts = decoded.map((row) => row.map((cell, index) => asText(table.schema, index, cell)));
  const doubleAt = table.schema.columns.findIndex((column) => column.type.kind === 'float64');
  for (const [at, row] of (expected as unknown as (string | null)[][]).entries()) {
    const double = row[doubleAt];
    if (double !== null && double !== undefined) row[doubleAt] = String(Number(double));
    expect(texts[at]).toEqual(row);
  }
  expect(byOracle(table.schema, outputs)).toEqual(
    decoded.map((row) => row.map((cell) => (cell instanceof Uint8Array ? Buffer.from(cell) : cell))),
  );
});

/** Rows decoded by another Avro implementation, in the forms that core's cells have. */
function byOracle(schema: TableSchema, outputs: readonly RangeOutput[]): unknown[][] {
  const oracle = avroOracle(rowBlockSchemaJson(schema));
  return outputs.flatMap((output) => {
    if (output.kind !== 'block') return [];
    const rows = oracle.decodeAll(zstdDecompressSync(output.block.block)) as Record<string, unknown>[];
    return rows.map((row) =>
      Object.values(row)
        .slice(2)
        .map((cell, index) => fromOracle(schema, index, cell)),
    );
  });
}

function fromOracle(schema: TableSchema, index: number, value: unknown): unknown {
  if (value === null) return null;
  const kind = schema.columns[index]?.type.kind;
  if (kind === 'decimal') return BigInt.asIntN((value as Buffer).length * 8, BigInt(`0x${(value as Buffer).toString('hex')}`));
  return kind === 'time' ? Number(value) : value;
}

test('random numbers and moments arrive as PostgreSQL prints them', async () => {
  await admin.query(
    'CREATE TABLE public.random (id int PRIMARY KEY, a numeric(18,6), b numeric(38,10), c numeric(30,30), d bigint, e timestamptz, f double precision)',
  );
  await admin.query(`INSERT INTO public.random SELECT i, (s * random() * 10 ^ (random() * 12))::numeric(18,6),
    (s * random())::numeric(38,10) * (10 ^ floor(random() * 27))::numeric, random()::numeric * (10 ^ -floor(random() * 14))::numeric,
    (s * random() * 2 ^ (random() * 62))::bigint, 'epoch'::timestamptz + s * random() * 2 ^ (random() * 37) * interval '1 second',
    s * random() * 10 ^ (random() * 600 - 300)
    FROM generate_series(1, 20000) i, LATERAL (SELECT CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END AS s) x`);
  const table = await discover('random');
  const decoded = rowsOf(table.schema, await read(table, '0:'));
  const { rows } = await admin.query({
    text: 'SELECT id, a, b, c, d, (extract(epoch FROM e) * 1000000)::numeric(40,0), f FROM public.random ORDER BY ctid',
    rowMode: 'array',
  });
  const same = (rows as unknown as string[][]).map((row) => row.map((cell, index) => (index === 6 ? String(Number(cell)) : cell)));
  expect(decoded.map((row) => row.map((cell, index) => asText(table.schema, index, cell)))).toEqual(same);
});

test('dates and times are exact numbers, the infinities included', async () => {
  await admin.query('CREATE TABLE public.m_times (id int PRIMARY KEY, d date, t time, ts timestamp, tz timestamptz)');
  const values = [
    ['1970-01-01', '00:00:00', '1970-01-01 00:00:00', '1970-01-01 00:00:00+00'],
    ['2024-02-29', '23:59:59.999999', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+02'],
    ['0044-03-15 BC', '24:00:00', '4713-01-01 00:00:00 BC', '0001-01-01 00:00:00+00'],
    ['5874897-12-31', '12:00', '294246-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999+00'],
    ['infinity', '00:00:00.000001', 'infinity', 'infinity'],
    ['-infinity', '00:00', '-infinity', '-infinity'],
  ];
  for (const [id, [d, t, ts, tz]] of values.entries())
    await admin.query('INSERT INTO public.m_times VALUES ($1, $2, $3, $4, $5)', [id, d, t, ts, tz]);
  const table = await discover('m_times');
  const decoded = rowsOf(table.schema, await read(table, '0:'));
  const micros = (column: string) => `(extract(epoch FROM ${column}) * 1000000)::numeric(40,0)`;
  const { rows } = await admin.query({
    text: `SELECT id, CASE WHEN isfinite(d) THEN d - date '1970-01-01' END, ${micros('t')}, CASE WHEN isfinite(ts) THEN ${micros('ts')} END,
      CASE WHEN isfinite(tz) THEN ${micros('tz')} END FROM public.m_times ORDER BY id`,
    rowMode: 'array',
  });
  const finite = decoded.slice(0, 4).map((row) => row.map(String));
  expect(finite).toEqual((rows as unknown as string[][]).slice(0, 4));
  expect(decoded[4]?.slice(1)).toEqual([2_147_483_647, 1, TIMESTAMP_INFINITY, TIMESTAMP_INFINITY]);
  expect(decoded[5]?.slice(1)).toEqual([-2_147_483_647, 0, -TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY]);
});

test("types without a kind of their own arrive as their output function's text, as the change stream has it", async () => {
  await admin.query(OWN_TYPES);
  await admin.query(
    `CREATE TABLE public.m_text (id int PRIMARY KEY, ${Object.keys(TEXT_MATRIX)
      .map((type, i) => `c${i} ${typeName(type)}`)
      .join(', ')})`,
  );
  for (let row = 0; row < 4; row++) {
    const cells = Object.values(TEXT_MATRIX).map((values) => values[row]?.[0] ?? 'NULL');
    await admin.query(`INSERT INTO public.m_text VALUES (${row}, ${cells.join(', ')})`);
  }
  const table = await discover('m_text');
  expect(new Set(table.schema.columns.slice(1).map((column) => column.type.kind))).toEqual(new Set(['text']));
  const decoded = rowsOf(table.schema, await read(table, '0:'));
  for (let row = 0; row < 4; row++)
    expect(decoded[row]?.slice(1)).toEqual(Object.values(TEXT_MATRIX).map((values) => values[row]?.[1] ?? null));
});

test('a row that has no Avro form is rejected alone, with its raw bytes and without its values in the reason', async () => {
  await admin.query('CREATE TABLE public.bad (id int PRIMARY KEY, n numeric(10,2), ts timestamp)');
  await admin.query(`INSERT INTO public.bad VALUES (1, 1, '2024-01-01'), (2, 'NaN', NULL), (3, NULL, '294276-12-31 23:59:59.999999'),
    (4, NULL, '294247-01-10 04:00:54.775807'), (5, NULL, '294247-01-10 04:00:54.775806')`);
  const table = await discover('bad');
  const outputs = await read(table, '0:');
  expect(rowsOf(table.schema, outputs).map(([id]) => id)).toEqual([1, 5]);
  const rejected = outputs.filter((output) => output.kind === 'rejected').map(({ row }) => row);
  expect(rejected.map((row) => row.reason)).toEqual([
    'Column n: NaN and infinity have no decimal form.',
    "Column ts: the value is outside the range of the column's type.",
    "Column ts: the value is outside the range of the column's type.",
  ]);
  expect(Buffer.from(rejected[0]?.payload ?? []).readInt32BE(6)).toBe(2);
});

test('rows are the same wherever the stream is cut, and blocks stay below the target', async () => {
  await admin.query('CREATE TABLE public.cuts (id int PRIMARY KEY, label text, doc jsonb, n numeric(12,2))');
  await admin.query(
    "INSERT INTO public.cuts SELECT i, CASE WHEN i % 5 > 0 THEN repeat('v', i) END, '{}', i / 3.0 FROM generate_series(1, 300) i",
  );
  const table = await discover('cuts');
  const chunks: Buffer[] = [];
  for await (const chunk of admin.query(copyTo('COPY public.cuts TO STDOUT (FORMAT binary)')) as AsyncIterable<Buffer>) chunks.push(chunk);
  const stream = Buffer.concat(chunks);
  const encode = (cut: () => number) => {
    const encoder = new RowEncoder(parseStorage(table.storage).columns, 4096, ORIGIN);
    const outputs: EncodedOutput[] = [];
    for (let at = 0; at < stream.length; ) {
      const end = Math.min(stream.length, at + cut());
      encoder.push(stream.subarray(at, end), outputs);
      at = end;
    }
    encoder.finish(outputs);
    return outputs.map((output) => (output.kind === 'rows' ? { rows: output.rows, bytes: Buffer.from(output.bytes) } : output));
  };
  const whole = encode(() => stream.length);
  for (const cut of [() => 1, () => 7, () => randomInt(1, 500)]) expect(encode(cut)).toEqual(whole);
  expect(whole.every((block) => 'bytes' in block && block.bytes.length <= 4096)).toBe(true);
  expect(whole.flatMap((block) => ('bytes' in block ? decode(table.schema, block.bytes, block.rows) : [])).length).toBe(300);
  const encoder = new RowEncoder(parseStorage(table.storage).columns, 4096, ORIGIN);
  encoder.push(stream.subarray(0, stream.length - 2), []);
  expect(() => encoder.finish([])).toThrow(/before its trailer/);
});

test('a row larger than a block is a block of its own', async () => {
  await admin.query('CREATE TABLE public.large (id int PRIMARY KEY, body text)');
  await admin.query(
    "INSERT INTO public.large SELECT i, CASE WHEN i = 3 THEN repeat('x', 20000000) ELSE 'small' END FROM generate_series(1, 5) i",
  );
  const table = await discover('large');
  const outputs = await read(table, '0:', { targetBytes: 1024 });
  expect(outputs.map((output) => output.kind === 'block' && output.block.rows)).toEqual([2, 1, 2]);
  expect(rowsOf(table.schema, outputs).map(([id, body]) => [id, String(body).length])).toEqual([
    [1, 5],
    [2, 5],
    [3, 20_000_000],
    [4, 5],
    [5, 5],
  ]);
});

test('ranges cover the table once, also the rows that are inserted behind the last planned page', async () => {
  await admin.query("CREATE TABLE public.ranged (id int PRIMARY KEY, pad text DEFAULT repeat('p', 100))");
  await admin.query('INSERT INTO public.ranged SELECT i FROM generate_series(1, 5000) i');
  const table = await discover('ranged');
  const ranges = pageRanges(await tableSize(admin, 'public', 'ranged'), 700);
  expect(ranges.length).toBeGreaterThan(5);
  await admin.query('INSERT INTO public.ranged SELECT i FROM generate_series(5001, 9000) i');
  const ids: Cell[] = [];
  for (const range of ranges) ids.push(...rowsOf(table.schema, await read(table, range)).map(([id]) => id as Cell));
  expect(ids.length).toBe(9000);
  expect(new Set(ids).size).toBe(9000);
});

test('a range is read by a tid range scan', async () => {
  const { rows } = await admin.query("EXPLAIN SELECT id FROM ONLY public.ranged WHERE ctid >= '(3,0)'::tid AND ctid < '(9,0)'::tid");
  expect(JSON.stringify(rows)).toContain('Tid Range Scan');
});

test('dropped and generated columns are left out, odd names are quoted', async () => {
  await admin.query(
    `CREATE TABLE public."Odd ""name" ("the id" int PRIMARY KEY, gone int, "sum" int GENERATED ALWAYS AS ("the id" * 2) STORED, "ü" text)`,
  );
  await admin.query(`ALTER TABLE public."Odd ""name" DROP COLUMN gone; INSERT INTO public."Odd ""name" VALUES (1, DEFAULT, 'x')`);
  const table = await discover('Odd "name');
  expect(table.schema.columns.map((column) => column.name)).toEqual(['the id', 'ü']);
  expect(rowsOf(table.schema, await read(table, '0:'))).toEqual([[1, 'x']]);
});

test.each([
  ['VACUUM FULL public.$', /was rewritten/],
  ['TRUNCATE public.$', /was rewritten/],
  ['ALTER TABLE public.$ ALTER n TYPE bigint', /columns changed/],
  ['ALTER TABLE public.$ RENAME n TO m', /columns changed/],
  ['ALTER TABLE public.$ ADD extra int', /columns changed/],
  ['ALTER TABLE public.$ DROP n', /columns changed/],
  ['DROP TABLE public.$', /no longer exists/],
  ['DROP TABLE public.$; CREATE TABLE public.$ (id int PRIMARY KEY, n int)', /another table/],
])('%s after the plan is noticed', async (statement, message) => {
  const name = `void_${randomInt(1e9)}`;
  await admin.query(`CREATE TABLE public.${name} (id int PRIMARY KEY, n int)`);
  const table = await discover(name);
  for (const sql of statement.replaceAll('$', name).split(';')) await admin.query(sql);
  await expect(read(table, '0:')).rejects.toMatchObject({ kind: 'table-changed', message: expect.stringMatching(message) });
});

test('a whole-table read does not mind a rewrite, but minds columns', async () => {
  await admin.query('CREATE TABLE public.whole (id int PRIMARY KEY, n int); INSERT INTO public.whole VALUES (1, 2)');
  const table = await discover('whole');
  await admin.query('VACUUM FULL public.whole');
  expect(rowsOf(table.schema, await read(table, WHOLE))).toEqual([[1, 2]]);
  await admin.query('ALTER TABLE public.whole ADD extra int');
  await expect(read(table, WHOLE)).rejects.toMatchObject({ kind: 'table-changed' });
});

test('a rewrite that is under way when the read begins is noticed: the lock comes before the comparison', async () => {
  await admin.query(
    'CREATE TABLE public.midway (id int PRIMARY KEY, n int); INSERT INTO public.midway SELECT i, i FROM generate_series(1, 5000) i',
  );
  const table = await discover('midway');
  const rewriter = await connect.open('test');
  // Not safe under MVCC: a COPY that waits for this lock afterwards finds the rows on other pages.
  await rewriter.query('BEGIN; ALTER TABLE public.midway ALTER n TYPE int USING n + 1');
  const reading = read(table, '0:10').catch((error: unknown) => error);
  await waitFor("SELECT FROM pg_locks WHERE relation = 'public.midway'::regclass AND NOT granted");
  await rewriter.query('COMMIT');
  await rewriter.end();
  expect(await reading).toMatchObject({ kind: 'table-changed', message: expect.stringContaining('rewritten') });
});

/** Asks again until the query has a row. */
async function waitFor(sql: string): Promise<void> {
  for (let found = 0; found === 0; ) found = (await admin.query(sql)).rowCount ?? 0;
}

test('no rewrite fits between the comparison and the COPY: it waits for the whole read', async () => {
  await admin.query(
    "CREATE TABLE public.locked (id int PRIMARY KEY, pad text); INSERT INTO public.locked SELECT i, repeat('p', 1000) FROM generate_series(1, 20000) i",
  );
  const table = await discover('locked');
  const reader = readRange(connections, connect, {
    table,
    range: '0:',
    targetBytes: 64 * 1024,
    origin: ORIGIN,
    signal: new AbortController().signal,
  });
  const first = await reader.next();
  const rewriter = await connect.open('test', { lockTimeoutMs: 300 });
  await expect(rewriter.query('VACUUM FULL public.locked')).rejects.toMatchObject({ code: '55P03' });
  await rewriter.end();
  let rows = first.value?.kind === 'block' ? first.value.block.rows : 0;
  for await (const output of reader) if (output.kind === 'block') rows += output.block.rows;
  expect(rows).toBe(20_000);
});

test('a consumer that leaves or aborts ends the connection and its lock', async () => {
  const table = await discover('locked');
  const controller = new AbortController();
  const aborted = readRange(connections, connect, { table, range: '0:', targetBytes: 4096, origin: ORIGIN, signal: controller.signal });
  await aborted.next();
  controller.abort();
  await expect(collect(aborted)).rejects.toMatchObject({ name: 'AbortError' });
  for await (const _ of readRange(connections, connect, {
    table,
    range: '0:',
    targetBytes: 4096,
    origin: ORIGIN,
    signal: new AbortController().signal,
  }))
    break;
  // Waits until both locks are gone.
  await admin.query('BEGIN; LOCK TABLE public.locked IN ACCESS EXCLUSIVE MODE; COMMIT');
});

test('a server that goes away in the middle is an error, never a short range', async () => {
  const table = await discover('locked');
  const reader = readRange(connections, connect, {
    table,
    range: '0:',
    targetBytes: 4096,
    origin: ORIGIN,
    signal: new AbortController().signal,
  });
  await reader.next();
  await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nanosync snapshot'");
  await expect(collect(reader)).rejects.toMatchObject({ kind: 'unavailable' });
});

test('a connection is used for the next range, and one that the server ended meanwhile costs no failure', async () => {
  const table = await discover('ranged');
  const pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'nanosync snapshot' ORDER BY pid";
  await read(table, '0:1');
  const before = (await admin.query(pids)).rows;
  await read(table, '1:2');
  expect((await admin.query(pids)).rows).toEqual(before);
  await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nanosync snapshot'");
  expect((await read(table, '2:3')).length).toBe(1);
});

test('row security that hides rows is an error, not an empty range', async () => {
  await admin.query('CREATE TABLE public.secured (id int PRIMARY KEY); INSERT INTO public.secured VALUES (1)');
  await admin.query(
    "ALTER TABLE public.secured ENABLE ROW LEVEL SECURITY; CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON public.secured TO reader",
  );
  const table = await discover('secured');
  const asReader = connectTo(server.dsn().replace('postgres:postgres@', 'reader:reader@'), 'nanosync');
  const reading = collect(
    readRange(new IdleConnections(asReader, realClock, 'snapshot'), asReader, {
      table,
      range: '0:',
      targetBytes: 4096,
      origin: ORIGIN,
      signal: new AbortController().signal,
    }),
  );
  await expect(reading).rejects.toMatchObject({ kind: 'prerequisite', message: expect.stringContaining('row-level security') });
});
