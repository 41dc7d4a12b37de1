import { writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { QueryRecord, State } from '@nanosync/core';
import { readRecord, stateKeys } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import { openEmbeddedState } from '@nanosync/state';
import type { PostgresServer } from '@nanosync/testkit';
import type pg from 'pg';
import { openSink } from '../compare/sink-table.ts';
import { connect } from '../demo/connect.ts';
import type { PipelineProcess } from '../demo/pipeline-process.ts';
import { startPipeline } from '../demo/pipeline-process.ts';
import type { Workplace } from '../demo/workplace.ts';
import { makeWorkplace } from '../demo/workplace.ts';

const LOOK_EVERY_MS = 15;
const PATIENCE_MS = 60_000;
/** Accounts, in so many groups; transfers between them leave the sum as it is. */
const ACCOUNTS = 4000;
const GROUPS = 40;
const BALANCE = 100;

/** What every whole result of the groups adds up to. */
export const WHOLE = { groups: GROUPS, accounts: ACCOUNTS, total: ACCOUNTS * BALANCE };

const BY_GROUP =
  'SELECT id % 40 AS grp, count(*) AS accounts, sum(balance)::bigint AS total, repeat(md5(id % 40 || $$x$$), 2000) AS filler FROM accounts GROUP BY id % 40';
const RECENT = 'SELECT id, balance, touched FROM accounts WHERE touched > 0';

/** A bank whose money moves all the time, and queries over it that run every second, into one DuckDB file. */
export class QueryScenario implements AsyncDisposable {
  readonly workplace: Workplace;
  readonly admin: pg.Client;
  readonly #server: PostgresServer;
  #process: PipelineProcess | undefined;
  #writing: { stop: boolean; readonly done: Promise<void> } | undefined;

  private constructor(server: PostgresServer, admin: pg.Client) {
    this.#server = server;
    this.admin = admin;
    this.workplace = makeWorkplace('query');
  }

  static async open(server: PostgresServer): Promise<QueryScenario> {
    const admin = await connect(server.dsn());
    await admin.query('DROP TABLE IF EXISTS accounts');
    await admin.query('CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, touched int NOT NULL DEFAULT 0)');
    await admin.query(`INSERT INTO accounts SELECT i, ${BALANCE} FROM generate_series(0, ${ACCOUNTS - 1}) i`);
    const scenario = new QueryScenario(server, admin);
    scenario.define();
    return scenario;
  }

  /** Writes the pipelines file: one result that replaces its table, one that is written by key. */
  define(every = '1s'): void {
    const pipeline = (name: string, query: string, more: string) => `  - name: ${name}
    replication_type: query
    source: { connection: bank, query: "${query}" }
    sink: { connection: warehouse, table: reporting.${name} }
    every: ${every}
${more}`;
    writeFileSync(
      this.workplace.pipelinesFile,
      `connections:
  - { name: bank, type: postgres, dsn: "${this.#server.dsn()}" }
  - { name: warehouse, type: duckdb, properties: { path: "${this.workplace.duckdb}" } }
pipelines:
${pipeline('groups', BY_GROUP, '')}${pipeline('recent', RECENT, '    key: [id]\n')}`,
    );
  }

  /** Starts the process; with a failpoint it will kill itself there. */
  start(failpoint?: string): PipelineProcess {
    const { pipelinesFile: file, dataDir, directory } = this.workplace;
    const env = failpoint === undefined ? {} : { NANOSYNC_FAILPOINT: failpoint };
    this.#process = startPipeline({ file, dataDir, directory, format: 'human', env }, () => undefined);
    return this.#process;
  }

  get process(): PipelineProcess {
    if (this.#process === undefined) throw new Error('the scenario has not started its process');
    return this.#process;
  }

  /** Moves money between accounts, and marks those that it touched, until it is told to stop. */
  write(): void {
    const state = { stop: false };
    const loop = async () => {
      const client = await connect(this.#server.dsn());
      for (let turn = 1; !state.stop; turn++) {
        const [from, to] = [(turn * 7919) % ACCOUNTS, (turn * 104_729 + 1) % ACCOUNTS];
        if (from === to) continue;
        await client.query('BEGIN');
        await client.query('UPDATE accounts SET balance = balance - 1, touched = $2 WHERE id = $1', [from, turn]);
        await client.query('UPDATE accounts SET balance = balance + 1, touched = $2 WHERE id = $1', [to, turn]);
        await client.query('COMMIT');
      }
      await client.end();
    };
    this.#writing = Object.assign(state, { done: loop() });
  }

  async stopWriting(): Promise<void> {
    if (this.#writing !== undefined) this.#writing.stop = true;
    await this.#writing?.done;
    this.#writing = undefined;
  }

  /** The runs of a pipeline as they are stored. */
  async runs(pipeline: string): Promise<QueryRecord | undefined> {
    await using state: State = await openEmbeddedState({ directory: `${this.workplace.dataDir}/state`, clock: systemClock() });
    return (await readRecord<QueryRecord>(state, stateKeys.query(pipeline)))?.value;
  }

  /** Waits until both pipelines have ended a run well that began after this call. */
  async fresh(): Promise<void> {
    const sinceMs = Date.now();
    for (const pipeline of ['groups', 'recent'])
      await this.waitFor(`a run of ${pipeline}`, async () => {
        const last = (await this.runs(pipeline))?.last;
        return last !== undefined && last !== null && last.failure === null && last.startedMs > sinceMs;
      });
  }

  async waitFor(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (const until = performance.now() + PATIENCE_MS; performance.now() < until; await pause(LOOK_EVERY_MS)) {
      if (await isSo()) return;
      const end = this.process.end();
      if (end !== null) throw new Error(`${end} while waiting for ${what}:\n${this.process.tail(40).join('\n')}`);
    }
    throw new Error(`It did not come to ${what}:\n${this.process.tail(40).join('\n')}`);
  }

  /** What users of the sink see; nobody else may have the file open. */
  async sink(sql: string): Promise<readonly (readonly unknown[])[]> {
    const file = await openSink(this.workplace.duckdb);
    try {
      return (await file.connection.runAndReadAll(sql)).getRowsJson() as readonly (readonly unknown[])[];
    } finally {
      file.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopWriting();
    if (this.#process !== undefined && this.#process.end() === null) await this.#process.kill();
    await this.admin.end();
    this.workplace.remove();
  }
}
