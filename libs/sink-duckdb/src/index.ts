export type { DuckdbSinkOptions } from './duckdb-sink.ts';
export { namingProblems, openDuckdbSink, queryDuckdb } from './duckdb-sink.ts';
