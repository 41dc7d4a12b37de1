import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Problem, TableId } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { at, changeOf, ORDERS, order, rowBatchOf } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { DuckdbFile } from './duckdb-file.ts';
import { openDuckdbSink, queryDuckdb } from './index.ts';
import { applyTo, generationOf, load, quiet, scratch, tableOf } from './test-support.ts';

async function errorOf(promise: Promise<unknown>): Promise<PipelineError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PipelineError);
  return error as PipelineError;
}

test('a missing folder, a folder in place of a file and a file that is no DuckDB are named with their cure', async () => {
  await using file = scratch();
  const missing = await errorOf(openDuckdbSink({ path: join(file.folder, 'no/such/w.duckdb'), log: quiet }));
  expect([missing.kind, missing.hint]).toEqual(['prerequisite', `Make it: mkdir -p ${join(file.folder, 'no/such')}`]);
  mkdirSync(join(file.folder, 'sub'));
  expect((await errorOf(openDuckdbSink({ path: join(file.folder, 'sub'), log: quiet }))).kind).toBe('prerequisite');
  writeFileSync(file.options.path, 'this is not a database '.repeat(1000));
  const other = await errorOf(file.open());
  expect([other.kind, other.message]).toEqual(['prerequisite', `${file.options.path} exists and is not a DuckDB file.`]);
  expect((await errorOf(openDuckdbSink({ path: join(file.folder, '_nanosync.db'), log: quiet }))).kind).toBe('prerequisite');
});

test('looking makes no file and touches none', async () => {
  await using file = scratch();
  {
    await using sink = await file.open();
    expect(await sink.check('shop', [ORDERS.table])).toEqual([]);
    expect(await sink.check('shop', ['_nanosync.x' as TableId])).toHaveLength(1);
    expect(await sink.generations('shop', ORDERS.table)).toEqual([]);
    expect(await sink.generation(generationOf(ORDERS))).toBeUndefined();
    expect(await sink.staged(generationOf(ORDERS))).toEqual([]);
  }
  expect(readdirSync(file.folder)).toEqual([]);
  {
    const own = await DuckdbFile.acquire(file.options);
    await own.look(async () => undefined, undefined);
    expect(existsSync(file.options.path)).toBe(false);
    await own.release();
  }
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(file.options.path);
  const connection = await instance.connect();
  await connection.run('CREATE SCHEMA public; CREATE TABLE public.Orders (x INTEGER)');
  connection.closeSync();
  instance.closeSync();
  let problems: readonly Problem[];
  {
    await using sink = await file.open();
    problems = await sink.check('shop', [ORDERS.table, 'public.free' as TableId, '_nanosync.x' as TableId]);
    expect(await sink.generations('shop', ORDERS.table)).toEqual([]);
  }
  expect(problems.map((problem) => problem.what)).toEqual([
    'public.orders already exists in DuckDB as a table that nanosync did not make.',
    'the schema _nanosync of _nanosync.x is reserved in DuckDB.',
  ]);
  const again = await DuckDBInstance.create(file.options.path);
  const look = await again.connect();
  expect((await look.runAndReadAll(`SELECT 1 FROM duckdb_schemas() WHERE schema_name = '_nanosync'`)).getRows()).toEqual([]);
  look.closeSync();
  again.closeSync();
});

test('a file of a newer nanosync is refused', async () => {
  await using file = scratch();
  {
    await using sink = await file.open();
    await load(sink, ORDERS, [order(1)]);
    await file.query('UPDATE _nanosync.meta SET version = 99');
  }
  expect((await errorOf(file.open())).kind).toBe('newer-version');
});

test('a file of the version before is looked at as it is, and upgraded by the first step that writes', async () => {
  await using file = scratch();
  const version = () => versionOf(file.options.path);
  {
    await using sink = await file.open();
    await load(sink, ORDERS, [order(1)]);
    expect((await file.query('SELECT version FROM _nanosync.meta'))[0]?.version).toBe(2); // What knows 1 alone refuses it.
    await file.query('UPDATE _nanosync.meta SET version = 1');
  }
  {
    await using sink = await file.open();
    expect(await sink.generation(generationOf(ORDERS))).toMatchObject({ rowsBuilt: 1, current: true });
  }
  expect(await version()).toEqual([[1]]);
  {
    await using sink = await file.open();
    await sink.release('shop', null, { dropTables: false });
  }
  expect(await version()).toEqual([[2]]);
});

async function versionOf(path: string) {
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  const rows = (await connection.runAndReadAll('SELECT version FROM _nanosync.meta')).getRows();
  connection.closeSync();
  instance.closeSync();
  return rows;
}

test('two sinks of one process share the file, and it stays open until both are closed', async () => {
  await using file = scratch();
  const first = await file.open();
  const second = await file.open();
  await load(first, ORDERS, [order(1)]);
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  await applyTo(second, ORDERS, changeOf(ORDERS, 'c', order(2), at(101)));
  const closing = second[Symbol.asyncDispose]();
  const third = await file.open();
  await closing;
  expect(await third.generation(generationOf(ORDERS))).toMatchObject({ rowsBuilt: 1, changesApplied: 1 });
  expect((await errorOf(second.generation(generationOf(ORDERS)))).kind).toBe('defect');
  await third[Symbol.asyncDispose]();
  expect(readdirSync(file.folder)).toEqual(['warehouse.duckdb']);
});

test('works where the file, the schema and the table have the same name, and the view works in a copy and under another name', async () => {
  await using file = scratch('shop.duckdb');
  const schema = { ...ORDERS, table: 'shop.shop' as TableId };
  {
    await using sink = await file.open();
    await load(sink, schema, [order(1)]);
    await applyTo(sink, schema, changeOf(schema, 'c', order(2), at(101)));
    await sink.switchTo(generationOf(schema));
    expect(await sink.check('shop', [schema.table])).toEqual([]);
  }
  const copy = join(file.folder, 'copy.duckdb');
  copyFileSync(file.options.path, copy);
  expect(await queryDuckdb({ path: copy, log: quiet }, 'SELECT count(*)::INTEGER AS n FROM shop.shop')).toEqual([{ n: 2 }]);
  const other = { path: join(file.folder, 'other.duckdb'), log: quiet };
  const attached = `ATTACH '${copy}' AS w (READ_ONLY); SELECT count(*)::INTEGER AS n FROM w.shop.shop`;
  expect(await queryDuckdb(other, attached)).toEqual([{ n: 2 }]);
});

test('users see exactly the columns of the source', async () => {
  await using file = scratch();
  await using sink = await file.open();
  await load(sink, ORDERS, [order(1)]);
  const columns = await file.query('DESCRIBE public.orders');
  expect(columns.map((column) => column.column_name)).toEqual(ORDERS.columns.map((column) => column.name));
  const [position] = await file.query('SELECT _nanosync_position AS p FROM _nanosync."shop/public.orders/e1"');
  expect(position).toEqual({ p: at(100, 0) });
});

test('columns that DuckDB cannot tell apart, or of our own names, are refused', async () => {
  await using file = scratch();
  await using sink = await file.open();
  const twice = tableOf({ name: 'id', type: { kind: 'int32' } }, { name: 'ID', type: { kind: 'int32' } });
  expect((await errorOf(load(sink, twice, [[1, 2]]))).kind).toBe('prerequisite');
  const ours = tableOf({ name: 'id', type: { kind: 'int32' } }, { name: '_nanosync_position', type: { kind: 'text' } });
  expect((await errorOf(load(sink, ours, [[1, 'x']]))).kind).toBe('prerequisite');
});

test('awkward names of tables, columns and pipelines are only names', async () => {
  await using file = scratch();
  await using sink = await file.open();
  const key = `q"'x`;
  const schema = {
    table: `a "b'.select; --` as TableId,
    columns: [
      { name: key, type: { kind: 'text' as const } },
      { name: 'from', type: { kind: 'int32' as const } },
    ],
    key: [key],
  };
  await load(sink, schema, [["k'1", 1]]);
  await applyTo(sink, schema, changeOf(schema, 'u', ["k'1", 2], at(101)));
  expect(await file.query(`SELECT * FROM "a ""b'"."select; --"`)).toEqual([
    Object.fromEntries([
      [key, "k'1"],
      ['from', 2],
    ]),
  ]);
});

test('a batch that does not decode stages nothing, also not later', async () => {
  await using file = scratch();
  await using sink = await file.open();
  await sink.claimRows('shop', 'loader', 'rows-topic', 1);
  const good = rowBatchOf(
    ORDERS,
    Array.from({ length: 3000 }, (_, id) => order(id)),
    { epoch: 'e1', partition: 0, attempt: 'a', batch: 0, codec: 'null' },
  );
  for (const block of [good.batch.block.subarray(0, -1), Buffer.concat([good.batch.block, Buffer.of(0)])]) {
    const bad = { ...good, batch: { ...good.batch, batch: 1, block } };
    const request = { pipeline: 'shop', owner: 'loader', moves: [{ busPartition: 0, from: 0, to: 1 }], batches: [good, bad], ends: [] };
    expect((await errorOf(sink.stage(request))).kind).toBe('defect');
  }
  expect(await sink.claimRows('shop', 'loader', 'rows-topic', 1)).toEqual([0]);
  expect(await load(sink, ORDERS, [order(1)])).toBe(1);
});

test('after DuckDB gave up on a file, the next step opens it anew', async () => {
  await using file = scratch();
  await using sink = await file.open();
  await load(sink, ORDERS, [order(1)]);
  const shared = await DuckdbFile.acquire(file.options);
  const fatal = shared.transaction(async () => {
    throw new Error('FATAL Error: Failed: database has been invalidated because of a previous fatal error.');
  });
  expect((await errorOf(fatal)).kind).toBe('unavailable');
  expect(await sink.generation(generationOf(ORDERS))).toMatchObject({ rowsBuilt: 1 });
  await shared.release();
});

test('a file that is deleted while it is open is let go: nothing is written into what has no name', async () => {
  await using file = scratch();
  await using sink = await file.open();
  await load(sink, ORDERS, [order(1)]);
  rmSync(file.options.path);
  rmSync(`${file.options.path}.wal`, { force: true });
  const lost = await errorOf(sink.claim(generationOf(ORDERS), 'w'));
  expect([lost.kind, lost.message]).toEqual(['unavailable', `${file.options.path} was deleted or replaced while it was open.`]);
  expect(await sink.generation(generationOf(ORDERS))).toBeUndefined();
  expect(await load(sink, ORDERS, [order(2)])).toBe(1);
});

test('a file whose folder is away for a while is kept and goes on', async () => {
  await using file = scratch();
  const folder = join(file.folder, 'mounted');
  mkdirSync(folder);
  await using sink = await openDuckdbSink({ path: join(folder, 'w.duckdb'), log: quiet });
  await load(sink, ORDERS, [order(1)]);
  renameSync(folder, `${folder}.away`);
  expect((await errorOf(sink.generation(generationOf(ORDERS)))).kind).toBe('prerequisite');
  renameSync(`${folder}.away`, folder);
  expect(await sink.generation(generationOf(ORDERS))).toMatchObject({ rowsBuilt: 1 });
  await applyTo(sink, ORDERS, changeOf(ORDERS, 'c', order(2), at(101)));
});

test('a view that somebody replaced by a table is not touched', async () => {
  await using file = scratch();
  await using sink = await file.open();
  await load(sink, ORDERS, [order(1)]);
  await file.query('DROP VIEW public.orders');
  await file.query('CREATE TABLE public.orders (mine INTEGER)');
  expect(await sink.check('shop', [ORDERS.table])).toHaveLength(1);
  expect((await errorOf(sink.switchTo(generationOf(ORDERS)))).kind).toBe('prerequisite');
  await applyTo(sink, ORDERS, changeOf(ORDERS, 'c', order(2), at(101)));
});

test('an error of DuckDB that repeats a value says its kind alone, and keeps the text for whoever debugs', async () => {
  await using file = scratch();
  const error: unknown = await queryDuckdb(file.options, "SELECT CAST('planted-cell' AS INTEGER)").catch((thrown: unknown) => thrown);
  expect((error as Error).message).toBe(`DuckDB refused a step on ${file.options.path} (Conversion Error).`);
  expect((error as { cause: Error }).cause.message).toContain('planted-cell');
});
