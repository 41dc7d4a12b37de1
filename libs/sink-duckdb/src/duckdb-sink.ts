import type { Problem, Sink, TableId, TableSchema } from '@nanosync/core';
import { adopt, adoptionProblems } from './adopt.ts';
import { apply } from './apply.ts';
import { build } from './build.ts';
import { columnProblem } from './column-types.ts';
import type { FileOptions } from './duckdb-file.ts';
import { DuckdbFile } from './duckdb-file.ts';
import { claim, discard, generationStatus, generationsOf, switchTo } from './generations.ts';
import { keyFaults, merge } from './merge.ts';
import { nameProblem, reservedProblem, shows } from './names.ts';
import { left, release } from './release.ts';
import { scan } from './scan.ts';
import type { ResultValue } from './sql.ts';
import { query } from './sql.ts';
import { claimRows, openBatches, stage, staged } from './stage.ts';

/** How a DuckDB sink is opened. */
export type DuckdbSinkOptions = FileOptions;

/**
 * Opens a DuckDB file as a warehouse; made when missing. Sinks of one process on one file share it, and their steps run one
 * after the other. Throws `unavailable` when another process has the file, `prerequisite` when it cannot be written.
 */
export async function openDuckdbSink(options: DuckdbSinkOptions): Promise<Sink> {
  const file = await DuckdbFile.acquire(options);
  let open = true;
  return {
    check: (pipeline, tables, schemas = [], adopts = false) =>
      file.look<readonly Problem[]>(
        async (session, known) => {
          const problems = schemas.flatMap((schema) => columnProblem(schema) ?? []);
          for (const table of tables) {
            const schema = adopts ? schemas.find((one) => one.table === table) : undefined;
            if (schema !== undefined) {
              problems.push(...(await adoptionProblems(session, pipeline, schema, known)));
              continue;
            }
            const problem = await nameProblem(session, pipeline, table, known);
            if (problem !== undefined) problems.push(problem);
          }
          return problems;
        },
        namingProblems(tables, schemas),
      ),
    shows: (table) => file.look((session) => shows(session, table), false),
    claimRows: (pipeline, owner, topicId, busPartitions) =>
      file.transaction((session) => claimRows(session, { pipeline, owner, topicId, busPartitions })),
    stage: async (request) => {
      const batches = await openBatches(request.batches);
      await file.transaction((session) => stage(session, request, batches));
    },
    staged: (generation) => file.look(async (session, known) => (known ? staged(session, generation) : []), []),
    discard: (generation) => file.transaction((session) => discard(session, generation)),
    build: (request) => file.transaction((session) => build(session, request)),
    keyFaults: (request) => file.step((session) => keyFaults(session, request)),
    merge: (request) => file.transaction((session) => merge(session, request)),
    adopt: (request) => file.transaction((session) => adopt(session, request)),
    generation: (generation) => file.look(async (session, known) => (known ? generationStatus(session, generation) : undefined), undefined),
    generations: (pipeline, table) => file.look(async (session, known) => (known ? generationsOf(session, pipeline, table) : []), []),
    claim: (generation, owner) => file.transaction((session) => claim(session, generation, owner)),
    apply: (request) => file.transaction((session) => apply(session, request)),
    switchTo: (generation) => file.transaction((session) => switchTo(session, generation)),
    left: (tables) => file.look(async (session, known) => (known ? left(session, tables) : []), []),
    scan: (request) => scan(options, request),
    release: (pipeline, table, { dropTables }) => file.transaction((session) => release(session, { pipeline, table, dropTables })),
    [Symbol.asyncDispose]: async () => {
      if (!open) return;
      open = false;
      await file.release();
    },
  };
}

/** What keeps the names of these tables and columns from being DuckDB's, whatever the file. */
export function namingProblems(tables: readonly TableId[], schemas: readonly TableSchema[]): readonly Problem[] {
  return [...schemas.flatMap((schema) => columnProblem(schema) ?? []), ...tables.flatMap((table) => reservedProblem(table) ?? [])];
}

/** Runs a query on a DuckDB file that this process may have open as a sink; rows by column name, 64-bit integers as text. For tools and tests. */
export async function queryDuckdb(options: FileOptions, sql: string): Promise<readonly Readonly<Record<string, ResultValue>>[]> {
  const file = await DuckdbFile.acquire(options);
  try {
    return await file.step((session) => query(session.connection, sql));
  } finally {
    await file.release();
  }
}
