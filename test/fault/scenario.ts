import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Position } from '@nanosync/core';
import { comparePositions, positionOf } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import type pg from 'pg';
import type { TableComparison } from '../compare/compare-table.ts';
import { compareTable } from '../compare/compare-table.ts';
import { duckdbEnd } from '../compare/duckdb-end.ts';
import { openSink } from '../compare/sink-table.ts';
import { connectSource } from '../compare/source-table.ts';
import { connect } from '../demo/connect.ts';
import type { PipelineProcess } from '../demo/pipeline-process.ts';
import { startPipeline } from '../demo/pipeline-process.ts';
import { lsnNumber } from '../demo/progress.ts';
import type { Workplace } from '../demo/workplace.ts';
import { makeWorkplace, writePipelinesFile } from '../demo/workplace.ts';
import type { Facts } from './facts.ts';
import { FactsReader, isLive } from './facts.ts';
import { Invariants } from './invariants.ts';
import { fillShop, TABLES, TARGET_ROWS } from './shop.ts';
import type { Workload } from './workload.ts';
import { startWorkload } from './workload.ts';

/** Name of every scenario's pipeline. */
export const PIPELINE = 'shop';

/** Partitions in flight: few, so that a kill finds some done, some under way and some not begun. */
export const CONCURRENCY = 2;

const TEMPLATE = 'shop_template';
const LOOK_EVERY_MS = 40;
/** How long nothing may change while a scenario waits: a busy machine takes its time, and one that stands still is found. */
const PATIENCE_MS = 60_000;

/** Fills the database that each scenario gets a copy of. */
export async function prepareTemplate(server: PostgresServer): Promise<void> {
  const admin = await connect(server.dsn());
  await admin.query(`CREATE DATABASE ${TEMPLATE}`);
  await admin.end();
  const client = await connect(server.dsn(TEMPLATE));
  await fillShop(client);
  await client.end();
}

/** Makes a copy of the shop and returns the database's name. */
export async function copyOfShop(server: PostgresServer): Promise<string> {
  const database = `shop_${Math.random().toString(36).slice(2, 10)}`;
  const client = await connect(server.dsn());
  await client.query(`CREATE DATABASE ${database} TEMPLATE ${TEMPLATE}`);
  await client.end();
  return database;
}

/** Removes a copy of the shop, with the slots of its pipeline. */
export async function dropShop(server: PostgresServer, database: string): Promise<void> {
  const admin = await connect(server.dsn());
  const end = 'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active_pid IS NOT NULL';
  await admin.query(end, [database]);
  await dropSlots(admin, database);
  await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
  await admin.end();
}

/** One pipeline from a fresh copy of the shop into a DuckDB file of its own, with a process that comes and goes. */
export class Scenario implements AsyncDisposable {
  readonly dsn: string;
  readonly workplace: Workplace;
  /** The folder of the DuckDB file alone. */
  readonly sinkFolder: string;
  readonly invariants = new Invariants();
  readonly #server: PostgresServer;
  readonly #database: string;
  readonly #facts: FactsReader;
  #admin: pg.Client | undefined;
  #process: PipelineProcess | undefined;
  #workload: Workload | undefined;

  private constructor(server: PostgresServer, database: string) {
    this.#server = server;
    this.#database = database;
    this.dsn = server.dsn(database);
    const workplace = makeWorkplace('fault');
    this.sinkFolder = join(workplace.directory, 'sink');
    mkdirSync(this.sinkFolder);
    this.workplace = { ...workplace, duckdb: join(this.sinkFolder, 'shop.duckdb') };
    this.#facts = new FactsReader(this.workplace.dataDir);
  }

  static async open(server: PostgresServer, tables: readonly string[] = TABLES): Promise<Scenario> {
    const scenario = new Scenario(server, await copyOfShop(server));
    scenario.define(tables);
    return scenario;
  }

  /** Writes the pipelines file, with these tables. */
  define(tables: readonly string[], replicationType = 'cdc_backfill'): void {
    const pipeline = { name: PIPELINE, dsn: this.dsn, tables, replicationType, targetRows: TARGET_ROWS, concurrency: CONCURRENCY };
    writePipelinesFile(this.workplace, pipeline);
  }

  /** Starts the process; with a failpoint it will kill itself there. `stored`: without the file. */
  start(failpoint?: string, from: 'file' | 'stored' = 'file'): PipelineProcess {
    const { pipelinesFile, dataDir, directory } = this.workplace;
    const file = from === 'file' ? pipelinesFile : undefined;
    const env = failpoint === undefined ? {} : { NANOSYNC_FAILPOINT: failpoint };
    this.#process = startPipeline({ file, dataDir, directory, format: 'human', env }, () => undefined);
    return this.#process;
  }

  /** Starts the process and waits until it says that it serves. */
  async serve(): Promise<void> {
    this.start();
    await this.says(/nanosync serving/);
  }

  /** Waits until the process has printed a line like this since it was started. */
  async says(line: RegExp): Promise<void> {
    for (const until = performance.now() + PATIENCE_MS; performance.now() < until; await pause(LOOK_EVERY_MS)) {
      if (this.process.tail(100).some((printed) => line.test(printed))) return;
      if (this.process.end() !== null) break;
    }
    throw new Error(this.#explain(`It did not say ${line}.`));
  }

  get process(): PipelineProcess {
    if (this.#process === undefined) throw new Error('the scenario has not started its process');
    return this.#process;
  }

  /** Starts the writers. */
  write(seed = 1): void {
    this.#workload = startWorkload(this.dsn, seed);
  }

  /** Runs a statement at the source. */
  async sql<T extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<readonly T[]> {
    for (let attempt = 0; ; attempt++) {
      this.#admin ??= await connect(this.dsn);
      try {
        return (await this.#admin.query<T>(text, [...values])).rows;
      } catch (error) {
        if (attempt > 0 || !/terminat|not queryable|closed/i.test((error as Error).message)) throw error;
        await this.#admin.end().catch(() => undefined);
        this.#admin = undefined;
      }
    }
  }

  /** Waits until the process has killed itself. Fails when it did not: the failpoint was never reached. */
  async killedItself(): Promise<void> {
    const late = pause(PATIENCE_MS, 'late' as const, { ref: false });
    const end = await Promise.race([this.process.ended, late]);
    if (!/ended with SIGKILL/.test(end)) throw new Error(this.#explain(`The failpoint was not reached (${end}).`));
    await this.look();
  }

  /** Kills the process with -9 and notes what was done by then. */
  async kill(): Promise<void> {
    await this.process.kill();
    await this.look();
  }

  /** Reads the state store and checks what must never change. */
  async look(): Promise<Facts | undefined> {
    const facts = await this.#facts.read(PIPELINE);
    if (facts !== undefined) this.invariants.see(facts, this.#process?.end() !== null);
    return facts;
  }

  /** Looks again and again until `done`; fails when the process ends or the pipeline fails meanwhile, unless that is waited for. */
  async until(what: string, done: (facts: Facts) => boolean, options: { readonly mayFail?: boolean } = {}): Promise<Facts> {
    let [deadline, before] = [0, ''];
    for (;;) {
      const ended = this.process.end();
      const facts = await this.look();
      const now = summary(facts);
      if (now !== before) [deadline, before] = [performance.now() + PATIENCE_MS, now];
      if (facts !== undefined && done(facts)) return facts;
      if (ended !== null) throw new Error(this.#explain(`${ended} It was to reach: ${what}.`));
      if (facts?.failure != null && options.mayFail !== true)
        throw new Error(this.#explain(`The pipeline failed before: ${what}. ${facts.failure.reason} ${facts.failure.cure}`));
      if (performance.now() > deadline) throw new Error(this.#explain(`It did not reach: ${what}.\n${now}`));
      await pause(LOOK_EVERY_MS);
    }
  }

  async live(): Promise<Facts> {
    return this.until('live', isLive);
  }

  /** Waits until the pipeline has failed, and returns the reason with its cure. */
  async failed(): Promise<{ readonly reason: string; readonly cure: string }> {
    const { failure } = (await this.until('failed', ({ pipeline }) => pipeline.phase === 'failed', { mayFail: true })).pipeline;
    return failure ?? { reason: '', cure: '' };
  }

  /** Stops the writers and waits until the sink has all that they committed. */
  async drain(): Promise<Facts> {
    await this.#workload?.stop();
    this.#workload = undefined;
    const [row] = await this.sql<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
    const target = positionOf(lsnNumber(row?.lsn ?? '0/0'), 0n);
    const marker = JSON.stringify({ kind: 'watermark', pipeline: PIPELINE });
    await this.sql("SELECT pg_logical_emit_message(true, 'nanosync', $1)", [marker]);
    return this.until('drained', (facts) => isLive(facts) && facts.tables.every(({ sink }) => reached(sink?.watermark ?? null, target)));
  }

  /** Ends the process as Ctrl-C does. */
  async stop(): Promise<void> {
    const status = await this.process.interrupt();
    if (status !== 0) throw new Error(this.#explain(`The process ended with status ${status} after Ctrl-C.`));
  }

  /** Forgets the opened state store, before its folder is removed. */
  async closeState(): Promise<void> {
    await this.#facts[Symbol.asyncDispose]();
  }

  /** Compares every row and column of the tables; the process must have ended. */
  async compare(tables: readonly string[] = TABLES): Promise<readonly TableComparison[]> {
    const client = await connectSource(this.dsn);
    const sink = await openSink(this.workplace.duckdb);
    try {
      const results: TableComparison[] = [];
      for (const table of tables) results.push(await compareTable(client, duckdbEnd(sink), table));
      return results;
    } finally {
      sink.close();
      await client.end();
    }
  }

  /** The last lines that the process printed. */
  tail(lines = 25): string {
    return this.process.tail(lines).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process?.end() === null) {
      process.kill(this.#process.pid, 'SIGCONT');
      await this.#process.kill();
    }
    await this.#workload?.stop().catch(() => undefined);
    await this.#facts[Symbol.asyncDispose]();
    await this.#admin?.end().catch(() => undefined);
    await dropShop(this.#server, this.#database);
    if (process.env.FAULT_KEEP === undefined && existsSync(this.workplace.directory)) this.workplace.remove();
  }

  #explain(sentence: string): string {
    return `${sentence}\nIts last lines were:\n${this.tail()}`;
  }
}

/** Removes the slots of a database; one that its walsender is just leaving is tried again. */
async function dropSlots(admin: pg.Client, database: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await admin.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1', [database]);
      return;
    } catch (error) {
      if (attempt > 200) throw error;
      await pause(20);
    }
  }
}

function reached(watermark: Position | null, target: Position): boolean {
  return watermark !== null && comparePositions(watermark, target) >= 0;
}

function summary(facts: Facts | undefined): string {
  if (facts === undefined) return 'nothing is stored';
  const { pipeline, tables } = facts;
  const lines = tables.map(({ record, partitions, sink, captured }) => {
    const durable = partitions.filter(({ phase }) => phase === 'durable').length;
    return `${record.table} ${record.phase}, ${durable}/${record.partitions} durable, built ${sink?.built ?? false}, watermark ${sink?.watermark ?? '-'}, L1 ${captured?.l1 ?? '-'}`;
  });
  return [`${pipeline.phase}, request ${pipeline.request ?? '-'}, waits for: ${pipeline.waiting ?? '-'}`, ...lines].join('\n');
}

/** Removes a folder or file with what DuckDB keeps beside it. */
export function removeFiles(path: string): void {
  for (const each of [path, `${path}.wal`, `${path}.tmp`]) rmSync(each, { recursive: true, force: true });
}
