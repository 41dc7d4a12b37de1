import { randomBytes } from 'node:crypto';
import type { ColumnType, Log, TableId } from '@nanosync/core';
import { splitTableId } from '@nanosync/core';
import { randomIds, systemClock } from '@nanosync/runtime';
import { clusterStack } from '@nanosync/testkit';
import { BigQueryApi } from './api.ts';
import { openBigQuerySink } from './bigquery-sink.ts';
import type { ResultRow } from './jobs.ts';
import { Jobs } from './jobs.ts';

/** A log that says nothing. */
export const quiet: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => quiet,
};

/** A fresh dataset on the shared emulator, or on another `endpoint` before it; deleted afterwards. */
export async function scratch(endpoint?: string) {
  const { bigquery } = await clusterStack('bigquery');
  const dataset = `test_${randomBytes(6).toString('hex')}`;
  const place = { project: bigquery.project, dataset, log: quiet, clock: systemClock(), ids: randomIds() };
  const api = new BigQueryApi({ ...place, endpoint: bigquery.url });
  const jobs = new Jobs(api, undefined);
  await api.call({ method: 'POST', path: '/datasets', json: { datasetReference: { projectId: bigquery.project, datasetId: dataset } } });
  const options = { ...place, endpoint: endpoint ?? bigquery.url, keyRanges: true };
  return {
    options,
    api,
    jobs,
    /** A table of the dataset as SQL takes it. */
    table: (name: string) => `\`${bigquery.project}.${dataset}.${name}\``,
    open: () => openBigQuerySink(options),
    query: (sql: string): Promise<ResultRow[]> => jobs.query(sql),
    run: (sql: string) => jobs.change('test', sql),
    [Symbol.asyncDispose]: async () => {
      await api.call({ method: 'DELETE', path: api.datasetPath, query: { deleteContents: true } });
    },
  };
}

/** SQL that shows a column's value as text that tells every value apart. */
export function shown(type: ColumnType, column: string): string {
  switch (type.kind) {
    case 'bytes':
      return `TO_HEX(${column})`;
    case 'timestamp':
      return type.zoned ? `CAST(UNIX_MICROS(${column}) AS STRING)` : `CAST(UNIX_MICROS(TIMESTAMP(${column}, 'UTC')) AS STRING)`;
    default:
      return `CAST(${column} AS STRING)`;
  }
}

/** The view of a table's name. */
export function viewOf(table: TableId): string {
  const { schema, name } = splitTableId(table);
  return `${schema}_${name}`;
}
