import { rmSync } from 'node:fs';
import { openSink } from '../compare/sink-table.ts';
import { type BenchContext, benchPipeline, dropReplication, end, start, until } from './bench-context.ts';

/** What one copy of the table into DuckDB took. */
export interface EndToEnd {
  readonly seconds: number;
  readonly rssMb: number;
}

/**
 * Copies the table with the real services in one process. The time runs from the first read to the built table, which is the
 * last durable acknowledgement; then the rows are counted again in DuckDB.
 */
export async function measureEndToEnd(context: BenchContext, table: string, run: number): Promise<EndToEnd> {
  const pipeline = benchPipeline(context, `bench${run}`, table);
  const { process: child, saidAt } = start(pipeline);
  try {
    const built = await until(context, pipeline, child, ({ tables }) => tables.length === 1 && tables[0]?.sink?.built === true);
    const began = saidAt('snapshotting');
    if (began === undefined) throw new Error('the pipeline did not say when it began to read');
    const rssMb = await end(child);
    const counted = await countRows(pipeline.workplace.duckdb, table);
    if (counted !== context.rows) throw new Error(`${counted} rows arrived of ${context.rows}`);
    return { seconds: (built - began) / 1000, rssMb };
  } finally {
    await child.kill();
    await dropReplication(context.admin, pipeline.name);
    rmSync(pipeline.workplace.dataDir, { recursive: true, force: true });
    for (const suffix of ['', '.wal']) rmSync(pipeline.workplace.duckdb + suffix, { force: true });
  }
}

async function countRows(file: string, table: string): Promise<number> {
  const sink = await openSink(file);
  try {
    const result = await sink.connection.runAndReadAll(`SELECT count(*) FROM ${table}`);
    return Number(result.getRows()[0]?.[0]);
  } finally {
    sink.close();
  }
}
