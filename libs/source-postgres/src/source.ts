import type { Clock, Log, Problem, Source, SourceTable } from '@nanosync/core';
import { createAnchor, dropAnchor, releaseAnchors, tidyAnchors, verifyAnchor } from './anchor.ts';
import { openChanges } from './change-reader.ts';
import type { Connect } from './connection.ts';
import { connectTo, queryJson, withConnection } from './connection.ts';
import { discoverTables, nameParts } from './discovery.ts';
import { driftOf } from './drift.ts';
import { extendPublication } from './extension.ts';
import { passFence } from './fence.ts';
import { hasherOf } from './hasher.ts';
import { IdleConnections } from './idle-connections.ts';
import { mark } from './marker.ts';
import { publicationName } from './names.ts';
import { pageRanges } from './partitioner.ts';
import { lsnOf, parseLsn, positionOfLsn } from './position.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { withdrawTables } from './publication.ts';
import { querySource } from './query-reader.ts';
import { retentionOf } from './retention.ts';
import { readRows } from './rows-reader.ts';
import { readRange, WHOLE } from './snapshot-reader.ts';
import { tableSize } from './table-size.ts';
import { openView } from './view.ts';

/** What a PostgreSQL source is made of. `dsn` has its secrets resolved. */
export interface PostgresSourceOptions {
  readonly dsn: string;
  /** With what columns are hashed; without one anybody who guesses a value can check the guess. */
  readonly hashKey?: string | undefined;
  readonly applicationName: string;
  readonly log: Log;
  readonly clock: Clock;
}

/** Opens a PostgreSQL database as a source. Throws `config` for an unreadable connection string; connects only when asked something. */
export async function openPostgresSource({ dsn, hashKey, applicationName, log, clock }: PostgresSourceOptions): Promise<Source> {
  const connect = connectTo(dsn, applicationName);
  const hasher = hasherOf(hashKey);
  const readers = new IdleConnections(connect, clock, 'snapshot');
  return {
    check: (pipeline, tables, wants): Promise<readonly Problem[]> => checkPrerequisites(connect, pipeline, tables, wants),
    discover: (tables, columns = {}) =>
      withConnection(connect, 'discovery', (client) => discoverTables(client, connect, tables, { columns, hasher })),
    drift: (pipeline, tables) => withConnection(connect, 'drift', (client) => driftOf(client, pipeline, tables, hasher)),
    anchor: (pipeline, id, tables) => createAnchor(connect, { clock, log }, { pipeline, id, tables }),
    drop: (anchor) => dropAnchor(connect, clock, anchor),
    tidy: (pipeline, anchor, still) => tidyAnchors(connect, clock, { pipeline, anchor, still }),
    extend: (pipeline, tables, options) => extendPublication(connect, clock, { pipeline, tables }, options),
    withdraw: (pipeline, tables, still) => withdrawTables(connect, publicationName(pipeline), tables, still),
    verify: (pipeline, anchor, published) => verifyAnchor(connect, pipeline, anchor, published),
    release: (pipeline, still) => releaseAnchors(connect, clock, pipeline, still),
    fence: (options) => passFence(connect, clock, options),
    partition: (table, options) => partitionTable(connect, table, options),
    openView: () => openView(connect),
    readRange: (table, range, options) => readRange(readers, connect, { table, range, hasher, ...options }),
    readRows: (table, keys, signal) => readRows(connect, { table, hasher }, keys, signal),
    changes: (options) => openChanges(connect, options, { clock, hasher }),
    mark: (marker) => mark(connect, marker),
    retention: (anchor) => retentionOf(connect, anchor),
    end: () => withConnection(connect, 'end', async (client) => positionOfLsn(parseLsn(await queryJson<string>(client, LOG_END)))),
    queries: querySource(connect),
    distance: (from, to) => Number(lsnOf(to) - lsnOf(from)),
    [Symbol.asyncDispose]: () => readers[Symbol.asyncDispose](),
  };
}

const LOG_END = 'SELECT to_json(pg_current_wal_lsn())';

async function partitionTable(
  connect: Connect,
  table: SourceTable,
  options: { readonly targetRows: number; readonly whole: boolean },
): Promise<readonly string[]> {
  if (options.whole) return [WHOLE];
  const { schema, name } = nameParts(table.schema.table);
  return pageRanges(await withConnection(connect, 'partitioner', (client) => tableSize(client, schema, name)), options.targetRows);
}
