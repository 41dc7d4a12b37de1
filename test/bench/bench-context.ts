import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import type { PipelineProcess } from '../demo/pipeline-process.ts';
import { startPipeline } from '../demo/pipeline-process.ts';
import { openProgress, type Progress } from '../demo/progress.ts';
import { type Workplace, writePipelinesFile } from '../demo/workplace.ts';
import type { Baselines } from './baselines.ts';

/** What all measurements work with. */
export interface BenchContext {
  readonly dsn: string;
  readonly admin: pg.Client;
  readonly workplace: Workplace;
  readonly baselines: Baselines;
  readonly rows: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** A pipeline of the bench: its files are its own. */
export interface BenchPipeline {
  readonly name: string;
  readonly table: string;
  readonly workplace: Workplace;
}

/** Partitions as a pipeline has them unless told otherwise. */
const TARGET_ROWS = 100_000;

/** Gives a pipeline of one table a data folder and a DuckDB file of its own. */
export function benchPipeline(context: BenchContext, name: string, table: string): BenchPipeline {
  const { directory } = context.workplace;
  const workplace: Workplace = {
    ...context.workplace,
    pipelinesFile: `${directory}/${name}.yaml`,
    dataDir: `${directory}/${name}-data`,
    duckdb: `${directory}/${name}.duckdb`,
  };
  writePipelinesFile(workplace, { name, dsn: context.dsn, tables: [table], targetRows: TARGET_ROWS });
  return { name, table, workplace };
}

/** A started pipeline, with the moments at which lines of its log arrived. */
export interface Started {
  readonly process: PipelineProcess;
  /** When a line with this message first came, on the clock of `performance.now()`. */
  saidAt(message: string): number | undefined;
}

/** Starts a pipeline's process with the log of a machine. */
export function start(pipeline: BenchPipeline): Started {
  const said = new Map<string, number>();
  const { workplace } = pipeline;
  const child = startPipeline(
    { file: workplace.pipelinesFile, dataDir: workplace.dataDir, directory: workplace.directory, format: 'json' },
    (line) => {
      const message = /"msg":"([^"]*)"/.exec(line)?.[1];
      if (message !== undefined && !said.has(message)) said.set(message, performance.now());
    },
  );
  return { process: child, saidAt: (message) => said.get(message) };
}

/** Waits until the pipeline's state is as wanted; returns that moment. */
export async function until(
  context: BenchContext,
  pipeline: BenchPipeline,
  child: PipelineProcess,
  wanted: (progress: Progress) => boolean,
): Promise<number> {
  let reader: Awaited<ReturnType<typeof openProgress>> | undefined;
  try {
    for (;;) {
      const end = child.end();
      if (end !== null) throw new Error([end, ...child.tail(15)].join('\n'));
      reader ??= await openProgress(pipeline.workplace.dataDir, pipeline.name).catch(() => undefined);
      const progress = await reader?.read();
      if (progress?.failure != null) throw new Error(`The pipeline failed: ${progress.failure}`);
      if (progress !== undefined && wanted(progress)) return performance.now();
      await pause(20, undefined, { signal: context.signal });
    }
  } finally {
    await reader?.[Symbol.asyncDispose]();
  }
}

/** Ends a pipeline's process in order, and says how much memory it had at most. */
export async function end(child: PipelineProcess): Promise<number> {
  const peak = child.peakMb();
  const status = await child.interrupt();
  if (status !== 0) throw new Error([`The pipeline ended with status ${status} after Ctrl-C.`, ...child.tail(15)].join('\n'));
  return peak;
}

/** Drops what a pipeline made at the source, so that no log is kept for it. */
export async function dropReplication(admin: pg.Client, pipeline: string): Promise<void> {
  await admin.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE $1', [
    `nanosync_slot_${pipeline}_%`,
  ]);
  await admin.query(`DROP PUBLICATION IF EXISTS "nanosync_pub_${pipeline}"`);
}
