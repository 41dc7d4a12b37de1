import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { openEmbeddedBus, openEmbeddedBusForReading } from '@nanosync/bus';
import { runCapture } from '@nanosync/cdc-capture';
import type { Clock, ConnectionDefinition, Problem } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { runPlanner } from '@nanosync/planner';
import { namingProblems, openDuckdbSink } from '@nanosync/sink-duckdb';
import { runSinkWriter } from '@nanosync/sink-writer';
import { runSnapshotWorker } from '@nanosync/snapshot-worker';
import { openPostgresSource } from '@nanosync/source-postgres';
import { openEmbeddedState } from '@nanosync/state';
import { duckdbMemoryLimit, duckdbPath, duckdbThreads, postgresDsn } from './connections.ts';
import type { Adapters, SinkOptions } from './context.ts';

/** The name under which our connections show up at the source. */
const APPLICATION_NAME = 'nanosync';

/**
 * Partitions that the one worker of the process would read at once. More than any `snapshot.concurrency` one machine is for: the
 * planner keeps that number, a pipeline each, and slots that wait cost nothing.
 */
const WORKER_SLOTS = 64;

/** The adapters of the embedded way of running. */
export function embeddedAdapters(clock: Clock): Adapters {
  return {
    openState: (directory, options) => openEmbeddedState({ directory, clock, ...options }),
    openBus: (directory) => openEmbeddedBus({ directory, clock }),
    openBusForReading: (directory) => openEmbeddedBusForReading({ directory, clock }),
    openSource: async (connection, log) => {
      requireType(connection, 'postgres', 'source');
      return openPostgresSource({ dsn: postgresDsn(connection), applicationName: APPLICATION_NAME, log, clock });
    },
    openSink: async (connection, options) => openSink(connection, options),
    checkSink: async (connection, { pipeline, tables, schemas }, options) => {
      requireType(connection, 'duckdb', 'sink');
      const path = duckdbPath(connection);
      const naming = namingProblems(tables, schemas); // These are known even while a server holds the file.
      if (!existsSync(path)) return [...absentFileProblems(path), ...naming];
      if (naming.length > 0) return naming;
      await using sink = await openSink(connection, options);
      return await sink.check(pipeline, tables, schemas);
    },
    services: [
      { name: 'planner', run: runPlanner },
      { name: 'cdc-capture', run: runCapture },
      { name: 'sink-writer', run: runSinkWriter },
      { name: 'snapshot-worker', run: (ctx) => runSnapshotWorker(ctx, WORKER_SLOTS) },
    ],
  };
}

function openSink(connection: ConnectionDefinition, { memoryLimitBytes, log }: SinkOptions) {
  requireType(connection, 'duckdb', 'sink');
  const memoryLimit = duckdbMemoryLimit(connection, memoryLimitBytes);
  const threads = duckdbThreads(connection);
  return openDuckdbSink({ path: duckdbPath(connection), memoryLimit, log, ...(threads === undefined ? {} : { threads }) });
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

function requireType(connection: ConnectionDefinition, type: string, role: 'source' | 'sink'): void {
  if (connection.type !== type)
    throw new PipelineError('config', `connection ${connection.name} is of type ${connection.type}, which is no ${role} here.`, {
      hint: `The ${role} that exists is ${type}.`,
    });
}
