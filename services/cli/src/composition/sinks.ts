import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { SinkCheckRequest } from '@nanosync/api';
import type { Clock, ConnectionDefinition, Ids, Problem, Sink } from '@nanosync/core';
import { bigQueryPlace, duckdbMemoryLimit, duckdbPath, duckdbThreads, requireType } from '../connections.ts';
import type { SinkOptions } from '../context.ts';

/** What a sink takes of this process besides its options. */
export interface SinkParts {
  readonly clock: Clock;
  readonly ids: Ids;
}

const TYPES = ['duckdb', 'bigquery'];

/** Loaded when a sink is opened: a process that opens none need not hold the drivers in memory. */
const adapters = {
  duckdb: () => import('@nanosync/sink-duckdb'),
  bigquery: () => import('@nanosync/sink-bigquery'),
};

/** Opens the sink of a connection. */
export async function openSink(connection: ConnectionDefinition, options: SinkOptions, { clock, ids }: SinkParts): Promise<Sink> {
  requireType(connection, TYPES, 'sink');
  const { log } = options;
  if (connection.type === 'bigquery') {
    const { openBigQuerySink } = await adapters.bigquery();
    return openBigQuerySink({ ...bigQueryPlace(connection), log, clock, ids });
  }
  return openDuckdb(connection, options);
}

/** Problems that would keep tables from being written; creates nothing. */
export async function checkSink(
  connection: ConnectionDefinition,
  request: SinkCheckRequest,
  options: SinkOptions,
  parts: SinkParts,
): Promise<readonly Problem[]> {
  requireType(connection, TYPES, 'sink');
  const { pipeline, tables, schemas, adopts } = request;
  if (connection.type === 'duckdb') return checkDuckdb(connection, request, options);
  await using sink = await openSink(connection, options, parts);
  return await sink.check(pipeline, tables, schemas, adopts);
}

async function openDuckdb(connection: ConnectionDefinition, { memoryLimitBytes, log }: SinkOptions): Promise<Sink> {
  const { openDuckdbSink } = await adapters.duckdb();
  const memoryLimit = duckdbMemoryLimit(connection, memoryLimitBytes);
  const threads = duckdbThreads(connection);
  return openDuckdbSink({ path: duckdbPath(connection), memoryLimit, log, ...(threads === undefined ? {} : { threads }) });
}

async function checkDuckdb(
  connection: ConnectionDefinition,
  { pipeline, tables, schemas, adopts }: SinkCheckRequest,
  options: SinkOptions,
): Promise<readonly Problem[]> {
  const path = duckdbPath(connection);
  const { namingProblems } = await adapters.duckdb();
  const naming = namingProblems(tables, schemas); // These are known even while a server holds the file.
  if (!existsSync(path)) return [...absentFileProblems(path), ...naming];
  if (naming.length > 0) return naming;
  await using sink = await openDuckdb(connection, options);
  return await sink.check(pipeline, tables, schemas, adopts);
}

/** A file that is not there yet is made by the first write: here it only matters whether that will work. */
function absentFileProblems(path: string): readonly Problem[] {
  const folder = dirname(path);
  if (!existsSync(folder)) return [{ what: `the folder ${folder} of the DuckDB file does not exist`, cure: `Make it: mkdir -p ${folder}` }];
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return [];
  } catch {
    return [
      { what: `the folder ${folder} of the DuckDB file cannot be written by this user`, cure: 'Give the right to, or name another.' },
    ];
  }
}
