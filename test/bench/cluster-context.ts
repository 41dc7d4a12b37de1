import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openRedisState } from '@nanosync/state/redis';
import { Fleet } from '../demo/fleet.ts';
import { type Progress, type ProgressReader, progressIn } from '../demo/progress.ts';
import { type ClusterEngines, writeServerFile } from '../demo/server-file.ts';
import { writePipelinesFile } from '../demo/workplace.ts';
import { storePipelines } from '../fault/stored.ts';
import { type BenchContext, dropReplication } from './bench-context.ts';

/** What the measurements on a cluster work with. */
export interface ClusterBench extends BenchContext {
  readonly engines: ClusterEngines;
}

/** A pipeline of one table. Its sink is named and never opened: what is measured ends at Kafka. */
export interface ClusterPipeline {
  readonly name: string;
  readonly table: string;
  readonly targetRows: number;
  readonly concurrency?: number;
  readonly maxRowsPerSecond?: number;
}

/** A cluster of its own for one pipeline, on the engines that all share. */
export class BenchCluster implements AsyncDisposable {
  readonly pipeline: ClusterPipeline;
  readonly fleet: Fleet;
  readonly #bench: ClusterBench;
  readonly #directory: string;
  readonly #said = new Map<string, number[]>();
  #progress: ProgressReader | undefined;

  constructor(bench: ClusterBench, pipeline: ClusterPipeline) {
    this.pipeline = pipeline;
    this.#bench = bench;
    this.#directory = join(bench.workplace.directory, pipeline.name);
    mkdirSync(this.#directory);
    const config = writeServerFile(join(this.#directory, 'server.yaml'), bench.engines, this.prefix);
    this.fleet = new Fleet({ directory: this.#directory, config, format: 'json' });
  }

  /** Of topics and keys. */
  get prefix(): string {
    return `bench-${this.pipeline.name}`;
  }

  /** Stores the pipeline. */
  async apply(): Promise<void> {
    const { workplace, dsn } = this.#bench;
    const { name, table, ...snapshot } = this.pipeline;
    const files = { ...workplace, pipelinesFile: join(this.#directory, 'pipelines.yaml'), duckdb: join(this.#directory, 'unused.duckdb') };
    writePipelinesFile(files, { name, dsn, tables: [table], ...snapshot });
    const { url } = this.#bench.engines.redis.address;
    const state = await openRedisState({ url, keyPrefix: this.prefix });
    this.#progress = progressIn(state, name);
    await storePipelines(state, files.pipelinesFile);
  }

  /** Starts a service; the moments at which lines of its log arrive are kept. */
  start(name: string, service: string): void {
    this.fleet.start(name, service, (line) => {
      const message = /"msg":"([^"]*)"/.exec(line)?.[1];
      if (message !== undefined) this.#said.set(message, [...(this.#said.get(message) ?? []), performance.now()]);
    });
  }

  /** When a line with this message first came since {@link forget}, on the clock of `performance.now()`. */
  saidAt(message: string): number {
    const [at] = this.#said.get(message) ?? [];
    if (at === undefined) throw new Error(`no process of the cluster said "${message}"`);
    return at;
  }

  /** Waits until so many lines with this message have come. */
  async untilSaid(message: string, times: number): Promise<void> {
    while ((this.#said.get(message)?.length ?? 0) < times) await this.#look();
  }

  /** Forgets what was said. */
  forget(): void {
    this.#said.clear();
  }

  /** Waits until the pipeline's state is as wanted; returns that moment. */
  async until(wanted: (progress: Progress) => boolean): Promise<number> {
    for (;;) {
      const progress = await this.#progress?.read();
      if (progress?.failure != null) throw new Error(`The pipeline failed: ${progress.failure}`);
      if (progress !== undefined && wanted(progress)) return performance.now();
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    const broken = this.fleet.broken();
    if (broken !== null) throw new Error(broken);
    await pause(20, undefined, { signal: this.#bench.signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fleet[Symbol.asyncDispose]();
    await this.#progress?.[Symbol.asyncDispose]();
    await dropReplication(this.#bench.admin, this.pipeline.name);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
