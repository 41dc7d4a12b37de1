import { runCapture } from '@nanosync/cdc-capture';
import type { Bus, Log, Registry, ServiceContext, Sink, Source, State } from '@nanosync/core';
import { topicsOf } from '@nanosync/core';
import { runPlanner } from '@nanosync/planner';
import { runSinkWriter } from '@nanosync/sink-writer';
import { runSnapshotWorker } from '@nanosync/snapshot-worker';
import { busOf, registryOf, sinkOf, sourceOf, stateOf } from './ports.ts';
import type { Process, ServiceName } from './process.ts';

/** Partitions that a worker reads side by side. */
const SLOTS = 2;

/** What each process runs: the real service. */
export const RUN: Record<ServiceName, (ctx: ServiceContext) => Promise<void>> = {
  planner: runPlanner,
  worker: (ctx) => runSnapshotWorker(ctx, SLOTS),
  capture: runCapture,
  writer: runSinkWriter,
};

/** What outlives processes, and how one of them gets at it. */
export interface Engines {
  readonly state: State;
  readonly bus: Bus;
  readonly registry: Registry;
  /** Connections of one process to the source; `cut` ends them. */
  readonly openSource: () => { readonly source: Source; cut(): void };
  readonly openSink: () => Sink;
  readonly nextId: () => string;
  /** Bytes that the bus hands out at once, at most. */
  readonly readBytes?: number;
}

/** The context of one life of a process, with every port behind its fate. */
export function contextOf(process: Process, engines: Engines, log: Log): ServiceContext {
  const { state, bus, registry } = engines;
  return {
    state: stateOf(process, state),
    bus: busOf(process, bus, engines.readBytes ?? Number.POSITIVE_INFINITY),
    registry: registryOf(process, registry),
    topics: topicsOf(),
    tasksBusPartitions: 2,
    changesBusPartitions: 2,
    keepMs: 1000,
    log,
    clock: process.clock(),
    ids: { next: engines.nextId },
    openSource: () =>
      process.through('source.open', async () => {
        const { source, cut } = engines.openSource();
        process.onCut(cut);
        return sourceOf(process, source);
      }),
    openSink: () => process.through('sink.open', async () => sinkOf(process, engines.openSink())),
    failpoint: () => {},
    signal: process.ending.signal,
  };
}
