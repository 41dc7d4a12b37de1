import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { splitTableId } from '@nanosync/core';
import { describeSink, ORDERS, orderText } from '@nanosync/testkit';
import { sqlTypeOf } from './column-types.ts';
import { openDuckdbSink, queryDuckdb } from './index.ts';
import { quiet } from './test-support.ts';

describeSink('duckdb', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nanosync-duckdb-'));
  const options = { path: join(folder, 'warehouse.duckdb'), log: quiet, threads: 1 };
  return {
    open: () => openDuckdbSink(options),
    read: async (table) => {
      const { schema, name } = splitTableId(table);
      const [known] = await queryDuckdb(
        options,
        `SELECT 1 FROM duckdb_views() WHERE NOT internal AND schema_name = '${schema}' AND view_name = '${name}'`,
      );
      if (known === undefined) return undefined;
      const rows = await queryDuckdb(options, `SELECT columns(*)::VARCHAR FROM (FROM "${schema}"."${name}" ORDER BY id)`);
      return rows.map((row) => Object.values(row) as (string | null)[]);
    },
    occupy: async (table) => {
      const { schema, name } = splitTableId(table);
      await queryDuckdb(options, `CREATE SCHEMA IF NOT EXISTS "${schema}"`);
      await queryDuckdb(options, `CREATE TABLE "${schema}"."${name}" (x INTEGER)`);
    },
    fill: async (rows) => {
      const { schema, name } = splitTableId(ORDERS.table);
      const columns = ORDERS.columns.map((column) => `"${column.name}" ${sqlTypeOf(column.type)}`);
      const literal = (text: string | null) => (text === null ? 'NULL' : `'${text.replaceAll("'", "''")}'`);
      await queryDuckdb(options, `CREATE SCHEMA IF NOT EXISTS "${schema}"`);
      await queryDuckdb(options, `CREATE TABLE "${schema}"."${name}" (${columns.join(', ')})`);
      for (const row of rows)
        await queryDuckdb(options, `INSERT INTO "${schema}"."${name}" VALUES (${orderText(row).map(literal).join(', ')})`);
    },
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
});
