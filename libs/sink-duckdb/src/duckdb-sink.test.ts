import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { splitTableId } from '@nanosync/core';
import { describeSink } from '@nanosync/testkit';
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
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
});
