import type { Clock, Ids, Log, Sink } from '@nanosync/core';
import * as entrance from '@nanosync/sink-bigquery';
import type { BigQueryPlace } from '../connections.ts';

interface BigQueryEntrance {
  openBigQuerySink(options: BigQueryPlace & { readonly log: Log; readonly clock: Clock; readonly ids: Ids }): Promise<Sink>;
}

/** The entrance of BigQuery's adapter. */
export const { openBigQuerySink } = entrance as unknown as BigQueryEntrance;
