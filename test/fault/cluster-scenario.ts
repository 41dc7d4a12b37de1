import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Position, State } from '@nanosync/core';
import { comparePositions, PipelineError, positionOf } from '@nanosync/core';
import { openRedisState } from '@nanosync/state/redis';
import { freePort, type PostgresServer, removeStack, type Stack, startStack } from '@nanosync/testkit';
import type pg from 'pg';
import { type BigQueryTables, bigqueryWarehouse } from '../compare/bigquery-end.ts';
import type { TableComparison } from '../compare/compare-table.ts';
import { compareTable } from '../compare/compare-table.ts';
import { connectSource } from '../compare/source-table.ts';
import { connect } from '../demo/connect.ts';
import { Fleet } from '../demo/fleet.ts';
import { lsnNumber } from '../demo/progress.ts';
import { writeServerFile } from '../demo/server-file.ts';
import { makeWorkplace, writePipelinesFile } from '../demo/workplace.ts';
import { type Facts, isLive, readFacts } from './facts.ts';
import { CONCURRENCY, copyOfShop, dropShop, PIPELINE } from './scenario.ts';
import { TABLES, TARGET_ROWS } from './shop.ts';
import { storePipelines } from './stored.ts';
import { type Pace, startWorkload, type Workload } from './workload.ts';

const ENGINES = ['kafka', 'registry', 'redis', 'bigquery'] as const;
type Engines = Stack<(typeof ENGINES)[number]>;

/** The processes of a scenario's cluster; each service but the planner twice, so that one can take over. */
export const PROCESSES: Readonly<Record<string, string>> = {
  planner: 'planner',
  'worker 1': 'snapshot-worker',
  'worker 2': 'snapshot-worker',
  'capture 1': 'cdc-capture',
  'capture 2': 'cdc-capture',
  'writer 1': 'sink-writer',
  'writer 2': 'sink-writer',
};

const PREFIX = 'fault';
const LOOK_EVERY_MS = 250;
/** How long nothing may come of what a scenario waits for; an emulated warehouse on a busy machine is slow. */
const PATIENCE_MS = 240_000;

/** One pipeline from a fresh copy of the shop into an emulated BigQuery, by processes and on engines of its own that come and go. */
export class ClusterScenario implements AsyncDisposable {
  readonly engines: Engines;
  readonly fleet: Fleet;
  private readonly parts: {
    readonly server: PostgresServer;
    readonly database: string;
    readonly workplace: ReturnType<typeof makeWorkplace>;
    readonly stackFolder: string;
  };
  private state: State | undefined;
  private workload: Workload | undefined;

  private constructor(parts: ClusterScenario['parts'], engines: Engines, fleet: Fleet) {
    this.parts = parts;
    this.engines = engines;
    this.fleet = fleet;
  }

  /** Starts the engines; nothing is stored, and no process runs yet. */
  static async empty(server: PostgresServer): Promise<ClusterScenario> {
    const database = await copyOfShop(server);
    const workplace = makeWorkplace('cluster');
    const stackFolder = join(workplace.directory, 'stack');
    const engines = await startStack({ directory: stackFolder, services: ENGINES });
    const { url, project } = engines.bigquery.address;
    const body = JSON.stringify({ datasetReference: { projectId: project, datasetId: PREFIX } });
    await fetch(`${url}/bigquery/v2/projects/${project}/datasets`, { method: 'POST', body });
    const config = writeServerFile(join(workplace.directory, 'server.yaml'), engines, PREFIX, await freePort());
    const fleet = new Fleet({ directory: workplace.directory, config, format: 'human' });
    return new ClusterScenario({ server, database, workplace, stackFolder }, engines, fleet);
  }

  /** The same with the pipeline stored. */
  static async open(server: PostgresServer): Promise<ClusterScenario> {
    const scenario = await ClusterScenario.empty(server);
    scenario.define({ tables: TABLES });
    await storePipelines(await scenario.stored(), scenario.parts.workplace.pipelinesFile);
    return scenario;
  }

  /** Writes the pipelines file. */
  define(pipeline: Pick<Parameters<typeof writePipelinesFile>[1], 'tables' | 'replicationType' | 'excluded'>): void {
    const { url, project } = this.engines.bigquery.address;
    const sink = { type: 'bigquery', properties: { project, dataset: PREFIX, endpoint: url } };
    const { server, database, workplace } = this.parts;
    const all = { name: PIPELINE, dsn: server.dsn(database), targetRows: TARGET_ROWS, concurrency: CONCURRENCY, sink };
    writePipelinesFile(workplace, { ...all, ...pipeline });
  }

  /** Runs a command as a user does, which asks the planner's API, and returns what it printed; throws it when the command does not end well. */
  async command(...args: readonly string[]): Promise<string> {
    const lines: string[] = [];
    await this.fleet.toEnd(args, (line) => lines.push(line));
    return lines.join('\n');
  }

  /** Applies the pipelines file as a user does. */
  async apply(): Promise<string> {
    return this.command('apply', '-f', this.parts.workplace.pipelinesFile);
  }

  /** Starts a process and waits until it serves; with a failpoint it will kill itself there. */
  async start(name: string, failpoint?: string): Promise<void> {
    const env = failpoint === undefined ? {} : { NANOSYNC_FAILPOINT: failpoint };
    // One that begins while an engine is away is refused, as it should be.
    await new Promise<void>((resolve, reject) => {
      const serving = (line: string) => (line.includes('serving') ? resolve() : undefined);
      this.fleet.start(name, PROCESSES[name] ?? '', serving, env);
      this.fleet.running.find((one) => one.name === name)?.process.ended.then((end) => reject(new Error(`${name}: ${end}`)), reject);
    });
  }

  /** Ends once the process has ended, or after so long. */
  async ended(name: string, ms: number): Promise<void> {
    await Promise.race([this.fleet.running.find((one) => one.name === name)?.process.ended, pause(ms)]);
  }

  async startAll(names = Object.keys(PROCESSES)): Promise<void> {
    await Promise.all(names.map((name) => this.start(name)));
  }

  /** kill -9, and another one in its place. */
  async killAndStart(name: string): Promise<void> {
    await this.fleet.kill(name);
    await this.start(name);
  }

  write(seed: number, pace?: Pace): void {
    this.workload = startWorkload(this.parts.server.dsn(this.parts.database), seed, 1, pace);
  }

  /** Stops a process for so long, as a machine that swaps does. */
  async freeze(name: string, ms: number): Promise<void> {
    const pid = this.fleet.running.find((one) => one.name === name)?.process.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    await pause(ms);
    process.kill(pid, 'SIGCONT');
  }

  /** Looks again and again until `done`; fails when a process ends or the pipeline fails meanwhile. */
  async until(what: string, done: (facts: Facts) => boolean): Promise<Facts> {
    for (const deadline = performance.now() + PATIENCE_MS; ; await pause(LOOK_EVERY_MS)) {
      const facts = await this.look();
      if (facts !== undefined && done(facts)) return facts;
      const broken = this.fleet.broken();
      if (broken !== null) throw new Error(`${broken}\nIt was to reach: ${what}.`);
      if (facts?.failure != null)
        throw new Error(`The pipeline failed before: ${what}. ${facts.failure.reason}\n${this.fleet.tail().join('\n')}`);
      if (performance.now() > deadline)
        throw new Error(`It did not reach: ${what}.\n${JSON.stringify(facts?.tables)}\n${this.fleet.tail().join('\n')}`);
    }
  }

  live(): Promise<Facts> {
    return this.until('live', isLive);
  }

  /** Stops the writers and waits until the sink has all that they committed. */
  async drain(): Promise<Facts> {
    await this.workload?.stop();
    this.workload = undefined;
    return this.caughtUp();
  }

  /** Waits until the pipeline is live and its sink has all that was committed by now. */
  async caughtUp(): Promise<Facts> {
    const [row] = await this.sql<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
    const target = positionOf(lsnNumber(row?.lsn ?? '0/0'), 0n);
    await this.sql("SELECT pg_logical_emit_message(true, 'nanosync', $1)", [JSON.stringify({ kind: 'watermark', pipeline: PIPELINE })]);
    return this.until('caught up', (facts) => isLive(facts) && facts.tables.every(({ sink }) => reached(sink?.watermark ?? null, target)));
  }

  /** Compares every row and column of these tables, but for those columns that are kept back. */
  async compare(
    tables: readonly string[] = TABLES,
    excluded: Readonly<Record<string, readonly string[]>> = {},
  ): Promise<readonly TableComparison[]> {
    const { server, database } = this.parts;
    const client = await connectSource(server.dsn(database));
    try {
      await using sink = await bigqueryWarehouse(this.dataset).open();
      const results: TableComparison[] = [];
      for (const table of tables) results.push(await compareTable(client, sink, table, { excluded: excluded[table] ?? [] }));
      return results;
    } finally {
      await client.end();
    }
  }

  /** Where its tables are. */
  get dataset(): BigQueryTables {
    return { ...this.engines.bigquery.address, dataset: PREFIX, nameOf: (table) => table.replace('.', '_') };
  }

  /** Where the engines keep what they have. */
  get folders(): { readonly kafka: string } {
    return { kafka: join(this.parts.stackFolder, 'kafka', 'data') };
  }

  /** Asks the source. */
  async sql<T extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<readonly T[]> {
    const client = await connect(this.parts.server.dsn(this.parts.database));
    try {
      return (await client.query<T>(text, [...values])).rows;
    } finally {
      await client.end();
    }
  }

  /** Begins a transaction that holds up every copy that is to begin, and nothing else; disposing ends it. */
  async openTransaction(): Promise<AsyncDisposable> {
    const client = await connect(this.parts.server.dsn(this.parts.database));
    await client.query('BEGIN; SELECT pg_current_xact_id()');
    return { [Symbol.asyncDispose]: () => client.end() };
  }

  /** The state store, as the processes see it. */
  async stored(): Promise<State> {
    this.state ??= await openRedisState({ url: this.engines.redis.address.url, keyPrefix: PREFIX });
    return this.state;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process: running } of this.fleet.running) if (running.end() === null) process.kill(running.pid, 'SIGCONT');
    await this.fleet[Symbol.asyncDispose]();
    await this.workload?.stop().catch(() => undefined);
    await this.state?.[Symbol.asyncDispose]();
    await this.engines.stop();
    const { server, database, workplace, stackFolder } = this.parts;
    await dropShop(server, database);
    if (process.env.FAULT_KEEP !== undefined) return;
    removeStack(stackFolder);
    workplace.remove();
  }

  /** What is stored of the pipeline. While Redis is away nothing is known. */
  async look(): Promise<Facts | undefined> {
    try {
      return await readFacts(await this.stored(), PIPELINE);
    } catch (error) {
      if (error instanceof PipelineError && error.kind === 'unavailable') return undefined;
      throw error;
    }
  }
}

function reached(watermark: Position | null, target: Position): boolean {
  return watermark !== null && comparePositions(watermark, target) >= 0;
}
