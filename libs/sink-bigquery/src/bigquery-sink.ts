import type { GenerationId, Sink, SinkPace } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { adopt } from './adopt.ts';
import type { ApiOptions } from './api.ts';
import { Applier } from './applier.ts';
import { build } from './build.ts';
import { check } from './check.ts';
import { claim, discard, generationStatus, generationsOf, switchTo } from './generations.ts';
import { explain, GoogleError } from './google-error.ts';
import { claimRows } from './loader.ts';
import { keyFaults, merge } from './merge.ts';
import { hashOf, viewName } from './names.ts';
import { left, release } from './release.ts';
import { scan } from './scan.ts';
import type { BlockCodec } from './stage.ts';
import { Stager } from './stage.ts';
import { staged } from './staged-ledger.ts';
import { Warehouse } from './warehouse.ts';

/** How a BigQuery sink is opened. */
export interface BigQuerySinkOptions extends ApiOptions {
  /** Where the dataset is, such as `EU`; asked of the dataset when left out. */
  readonly location?: string | undefined;
  /** The codec under which row batches are loaded: `null` unpacks them first. As they came, except with an `endpoint`. */
  readonly blockCodec?: BlockCodec | undefined;
  /** Whether statements say the range of keys they are about, so that BigQuery reads less. The emulator is slow at that, and gets none. */
  readonly keyRanges?: boolean | undefined;
  /** How long changes are gathered before they are written, in milliseconds: {@link DEFAULT_FLUSH_MS}. Each write costs two jobs a table. */
  readonly flushIntervalMs?: number | undefined;
}

/** Ten seconds: 8,640 writes a day and table, of which BigQuery allows 100,000 load jobs a day and project. */
const DEFAULT_FLUSH_MS = 10_000;
/** Row batches of a snapshot are worth a load job when they are so many bytes, or so old. */
const STAGE_BYTES = 64_000_000;
const STAGE_WAIT_MS = 60_000;
/** Changes are worth a write without waiting when they are so many bytes on the bus. */
const APPLY_BYTES = 16_000_000;
const LOOK_MS = { least: 500, most: 5000 };

function paceOf(flushMs: number): SinkPace {
  return {
    stageBytes: STAGE_BYTES,
    applyBytes: APPLY_BYTES,
    stageWaitMs: flushMs === 0 ? 0 : STAGE_WAIT_MS,
    applyWaitMs: flushMs,
    lookEveryMs: Math.max(LOOK_MS.least, Math.min(LOOK_MS.most, flushMs)),
  };
}

/**
 * Opens a dataset of BigQuery as a warehouse. Nothing is asked of BigQuery before the first step; the dataset must exist then. Several
 * processes may have sinks on one dataset: each generation and each pipeline's rows have one owner, by tokens.
 */
export async function openBigQuerySink(options: BigQuerySinkOptions): Promise<Sink> {
  const warehouse = new Warehouse(options);
  const codec = options.blockCodec ?? (options.endpoint === undefined ? 'zstandard' : 'null');
  const stagers = new Map<string, Stager>();
  const appliers = new Map<string, Applier>();
  const beside = new Set<Promise<void>>();
  const aside = (work: Promise<void>) => {
    const done = work.catch(() => undefined).finally(() => beside.delete(done));
    beside.add(done);
  };
  const told = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof GoogleError && error.isNotFound) warehouse.forget();
      throw explain(error, options);
    }
  };
  const step = <T>(work: () => Promise<T>) => told(() => warehouse.prepare().then(work));
  const look = <T>(work: () => Promise<T>, otherwise: T) => told(async () => ((await warehouse.isPrepared()) ? work() : otherwise));
  const stagerOf = (pipeline: string) => once(stagers, pipeline, () => new Stager(warehouse, pipeline, codec));
  const applierOf = (id: GenerationId) => once(appliers, hashOf(id), () => new Applier(warehouse, id, aside));
  return {
    pace: paceOf(options.flushIntervalMs ?? DEFAULT_FLUSH_MS),
    check: (pipeline, tables, schemas = [], adopts = false) => told(() => check(warehouse, pipeline, tables, schemas, adopts)),
    shows: (table) => told(async () => (await warehouse.describe(viewName(table))) !== undefined),
    claimRows: (pipeline, owner, stream, busPartitions) =>
      step(async () => {
        const row = await claimRows(warehouse, { pipeline, owner, stream, busPartitions });
        stagerOf(pipeline).begin(row);
        return row.next;
      }),
    stage: (request) =>
      step(async () => {
        try {
          await stagerOf(request.pipeline).stage(request);
        } catch (error) {
          throw error instanceof GoogleError && error.isNotFound ? loaderGone(request.pipeline, error) : error;
        }
      }),
    staged: (generation) => look(() => staged(warehouse, generation), []),
    discard: (generation) => step(() => discard(warehouse, generation)),
    build: (request) => step(() => build(warehouse, request)),
    keyFaults: (request) => step(() => keyFaults(warehouse, request)),
    merge: (request) => step(() => merge(warehouse, request)),
    adopt: (request) => step(() => adopt(warehouse, request)),
    generation: (generation) => look(() => generationStatus(warehouse, generation), undefined),
    generations: (pipeline, table) => look(() => generationsOf(warehouse, pipeline, table), []),
    claim: (generation, owner) =>
      step(async () => {
        applierOf(generation).forget();
        return claim(warehouse, generation, owner);
      }),
    apply: (request) => step(() => applierOf(request.generation).apply(request)),
    switchTo: (generation) => step(() => switchTo(warehouse, generation)),
    left: (tables) => look(() => left(warehouse, tables), []),
    scan: (request) => scan(warehouse, request, told),
    release: (pipeline, table, { dropTables }) => step(() => release(warehouse, { pipeline, table, dropTables })),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(beside);
      warehouse[Symbol.dispose]();
    },
  };
}

function loaderGone(pipeline: string, cause: GoogleError): PipelineError {
  return new PipelineError('conflict', `the loader of the rows of pipeline ${pipeline} is gone from BigQuery.`, { cause });
}

function once<T>(known: Map<string, T>, key: string, make: () => T): T {
  const there = known.get(key) ?? make();
  known.set(key, there);
  return there;
}
