import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import type { KeyedRows } from './merge.ts';

/** An open DuckDB file. */
export interface SinkFile {
  readonly connection: DuckDBConnection;
  close(): void;
}

/** Opens a DuckDB file with little memory: the compared rows are sorted on disk. */
export async function openSink(path: string, mode: 'READ_ONLY' | 'READ_WRITE' = 'READ_ONLY'): Promise<SinkFile> {
  const instance = await DuckDBInstance.create(path, { access_mode: mode, memory_limit: '512MB' });
  const connection = await instance.connect();
  return {
    connection,
    close: () => {
      connection.closeSync();
      instance.closeSync();
    },
  };
}

/** The sink's columns and their types, by name; empty when there is no such table. */
export async function describeSink(sink: SinkFile, table: string): Promise<ReadonlyMap<string, string>> {
  const [schema = '', name = ''] = table.split('.');
  const result = await sink.connection.runAndReadAll(
    'SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2',
    [schema, name],
  );
  return new Map(result.getRows().map((row) => [String(row[0]), String(row[1]).replace(/\(.*/, '')]));
}

/** Rows of a query, chunk by chunk. */
export async function* sinkRows(sink: SinkFile, query: string): KeyedRows {
  const result = await sink.connection.stream(query);
  let pending = result.fetchChunk();
  for (;;) {
    const chunk = await pending;
    if (chunk === null || chunk.rowCount === 0) return;
    pending = result.fetchChunk();
    const columns = chunk.getColumns() as string[][];
    yield Array.from({ length: chunk.rowCount }, (_, row) => columns.map((column) => column[row] ?? ''));
  }
}
