import { existsSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';
import pg from 'pg';

const USAGE =
  'npm run -s query -- <file.duckdb or postgres://...> "SELECT ...": shows what a query finds, for a machine without their shells.';

process.exitCode = await main(process.argv.slice(2));

async function main([place, sql, ...more]: readonly string[]): Promise<number> {
  if (place === '--help' || place === undefined || sql === undefined || more.length > 0) {
    console.error(USAGE);
    return place === '--help' ? 0 : 2;
  }
  try {
    console.table(await (/^postgres(ql)?:/.test(place) ? queryPostgres(place, sql) : queryDuckdb(place, sql)));
    return 0;
  } catch (error) {
    console.error(sentenceOf(place, (error as Error).message));
    return 1;
  }
}

async function queryPostgres(dsn: string, sql: string): Promise<readonly object[]> {
  const client = new pg.Client({ connectionString: dsn, types: { getTypeParser: () => String } as never });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function queryDuckdb(file: string, sql: string): Promise<readonly object[]> {
  if (!existsSync(file)) throw new Error(`${file} does not exist.`);
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson() as object[];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** DuckDB lets one process at a time have a file, which is what most people meet first. */
function sentenceOf(file: string, message: string): string {
  const holder = /lock on file.*\(PID (\d+)\)/s.exec(message)?.[1];
  return holder === undefined ? message : `${file} is open in process ${holder}, and DuckDB lets only one have it: stop nanosync first.`;
}
