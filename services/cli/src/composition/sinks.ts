import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ConnectionDefinition, Problem, Sink } from '@nanosync/core';
import { namingProblems, openDuckdbSink } from '@nanosync/sink-duckdb';
import { duckdbMemoryLimit, duckdbPath, duckdbThreads, requireType } from '../connections.ts';
import type { SinkCheckRequest, SinkOptions } from '../context.ts';

/** Opens the sink of a connection. */
export function openSink(connection: ConnectionDefinition, { memoryLimitBytes, log }: SinkOptions): Promise<Sink> {
  requireType(connection, ['duckdb'], 'sink');
  const memoryLimit = duckdbMemoryLimit(connection, memoryLimitBytes);
  const threads = duckdbThreads(connection);
  return openDuckdbSink({ path: duckdbPath(connection), memoryLimit, log, ...(threads === undefined ? {} : { threads }) });
}

/** Problems that would keep tables from being written; creates nothing. */
export async function checkSink(
  connection: ConnectionDefinition,
  { pipeline, tables, schemas }: SinkCheckRequest,
  options: SinkOptions,
): Promise<readonly Problem[]> {
  requireType(connection, ['duckdb'], 'sink');
  const path = duckdbPath(connection);
  const naming = namingProblems(tables, schemas); // These are known even while a server holds the file.
  if (!existsSync(path)) return [...absentFileProblems(path), ...naming];
  if (naming.length > 0) return naming;
  await using sink = await openSink(connection, options);
  return await sink.check(pipeline, tables, schemas);
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
