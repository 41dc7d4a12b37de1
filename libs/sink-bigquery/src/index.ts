export type { BigQuerySinkOptions } from './bigquery-sink.ts';
export { openBigQuerySink } from './bigquery-sink.ts';
export { namingProblems } from './check.ts';
