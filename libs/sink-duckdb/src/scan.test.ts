import { expect, test } from 'vitest';
import { pieces } from './scan.ts';
import { scratch } from './test-support.ts';

/** Rows of several of DuckDB's row groups, which a checkpoint closes up. */
const ROWS = 600_000;

test('no row that stays is missed while others are deleted and a checkpoint moves those behind them', async () => {
  await using file = scratch();
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(file.options.path);
  const connection = await instance.connect();
  await connection.run(`CREATE TABLE t AS SELECT i AS id FROM range(${ROWS}) r(i); CHECKPOINT; CREATE TEMP TABLE seen (id BIGINT)`);
  let read = 0;
  for (const condition of pieces(ROWS)) {
    await connection.run(`INSERT INTO seen SELECT id FROM t WHERE ${condition}`);
    if (read++ === 1) await connection.run('DELETE FROM t WHERE id < 300000; CHECKPOINT');
  }
  const missed = (await connection.runAndReadAll('SELECT count(*) FROM t WHERE id NOT IN (SELECT id FROM seen)')).getRows();
  const moved = (await connection.runAndReadAll(`SELECT max(rowid) < ${ROWS - 1} FROM t`)).getRows();
  connection.closeSync();
  instance.closeSync();
  expect([read, missed, moved]).toEqual([3, [[0n]], [[true]]]);
});

test('all row numbers are covered once, the last ones without an end', () => {
  expect([...pieces(0)]).toEqual(['rowid >= 0']);
  expect([...pieces(245_760)]).toEqual(['rowid >= 0']);
  expect([...pieces(245_761)]).toEqual(['rowid >= 245760', 'rowid >= 0 AND rowid < 245760']);
});
