export type { DuckdbSinkOptions } from './duckdb-sink.ts';
export { openDuckdbSink, queryDuckdb } from './duckdb-sink.ts';
