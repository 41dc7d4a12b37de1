import type { Anchor, PipelineRecord, ServiceContext, Source } from '@nanosync/core';
import { PipelineError, positionOf, RECORD_VERSION, readRecord, stateKeys, topicsOf } from '@nanosync/core';
import { FakeClock, ORDERS, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { PipelinePlanner } from './pipeline-planner.ts';

const L0 = positionOf(100n, 0n);
const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };
const anchorOf = (id: string): Anchor => ({ id, l0: L0, origin: { slot: `slot ${id}` } });
const STREAMING: PipelineRecord = {
  v: RECORD_VERSION,
  definition: {
    name: 'p',
    replicationType: 'cdc_backfill',
    source: { connection: CONNECTION, tables: [ORDERS.table] },
    sink: { connection: CONNECTION },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  },
  ...{ phase: 'streaming', anchor: anchorOf('old'), failure: null, waiting: null, request: 'resnapshot', createdMs: 0 },
};

/** A planner of a pipeline that is to be copied anew, and what happens at the source, in order. */
async function resnapshot(hooks: { readonly stored?: () => void } = {}) {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` } });
  const happened: string[] = [];
  const source = {
    check: async () => [],
    discover: async () => [{ schema: ORDERS, storage: 's', estimatedRows: 1 }],
    anchor: async (_: string, id: string) => {
      happened.push(`anchored ${id}`);
      return anchorOf(id);
    },
    drop: async ({ id }: Anchor) => void happened.push(`dropped ${id}`),
    tidy: async (_: string, { id }: Anchor, still: () => Promise<boolean>) => void happened.push(`tidied ${id} ${await still()}`),
    mark: async () => {},
    fence: async () => {
      throw new PipelineError('unavailable', 'enough');
    },
    [Symbol.asyncDispose]: async () => {},
  } as unknown as Source;
  const sink = { check: async () => [], discard: async () => {}, [Symbol.asyncDispose]: async () => {} };
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const putAll = state.putAll.bind(state);
  state.putAll = async (entries) => {
    const done = await putAll(entries);
    hooks.stored?.();
    return done;
  };
  const ctx = {
    ...{ state, bus, registry, topics: topicsOf(), clock, log, tasksBusPartitions: 1, changesBusPartitions: 2 },
    ...{ ids: { next: () => `i${++ids}` }, failpoint: () => {}, openSource: async () => source, openSink: async () => sink },
  } as unknown as ServiceContext;
  await state.put(stateKeys.pipeline('p'), STREAMING, 0);
  const anchor = async () => (await readRecord<PipelineRecord>(state, stateKeys.pipeline('p')))?.value.anchor?.id;
  return { planner: new PipelinePlanner(ctx, 'p'), happened, anchor };
}

test('a resnapshot drops the slot of the anchor that it replaces before it makes its own, and tidies once that is stored', async () => {
  const { planner, happened, anchor } = await resnapshot();
  await planner.step();
  expect(await anchor()).toBeUndefined();
  await planner.step();
  const stored = await anchor();
  expect(happened).toEqual(['dropped old', `anchored ${stored}`]);
  await expect(planner.step()).rejects.toThrow('enough');
  expect(happened.slice(2)).toEqual([`tidied ${stored} true`]);
});

test('an anchor whose write was done although its answer was lost is followed, and its slot stays', async () => {
  const stored = () => {
    throw new PipelineError('unavailable', 'no answer');
  };
  const { planner, happened, anchor } = await resnapshot({ stored });
  await planner.step();
  await expect(planner.step()).rejects.toThrow('no answer');
  await expect(planner.step()).rejects.toThrow('enough');
  const id = await anchor();
  expect(happened).toEqual(['dropped old', `anchored ${id}`, `tidied ${id} true`]);
});
