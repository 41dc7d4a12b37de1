import type { Anchor, PipelineRecord, ServiceContext, Source } from '@nanosync/core';
import { PipelineError, positionOf, RECORD_VERSION, RUNNING, readRecord, stateKeys, topicsOf } from '@nanosync/core';
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
  ...{ phase: 'streaming', anchor: anchorOf('old'), failure: null, waiting: null, request: 'resnapshot', intent: RUNNING, createdMs: 0 },
};

/** A pipeline that is to be copied anew, its planners, and what happens at its source, which has room for one slot, in order. */
async function resnapshot(hooks: { readonly stored?: () => void; readonly slotMade?: () => void } = {}) {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` } });
  const happened: string[] = [];
  const slots = new Set(['old']);
  const hold: { tidying: PipelineError | null } = { tidying: null };
  const warned: string[] = [];
  const source = {
    check: async () => [],
    discover: async () => [{ schema: ORDERS, storage: 's', estimatedRows: 1 }],
    anchor: async (_: string, id: string) => {
      if (slots.size > 0) throw new PipelineError('prerequisite', 'no free slot');
      slots.add(id);
      happened.push(`anchored ${id}`);
      return anchorOf(id);
    },
    drop: async ({ id }: Anchor) => {
      if (slots.delete(id)) happened.push(`dropped ${id}`);
    },
    tidy: async (_: string, anchor: Anchor | null, still: () => Promise<boolean>) => {
      const left = [...slots].filter((id) => id !== anchor?.id);
      if (left.length === 0 || !(await still())) return;
      if (hold.tidying !== null) throw hold.tidying;
      for (const id of left) slots.delete(id);
      happened.push(`tidied ${left.join()}`);
    },
    mark: async () => {},
    fence: async () => {
      throw new PipelineError('unavailable', 'enough');
    },
    [Symbol.asyncDispose]: async () => {},
  } as unknown as Source;
  const sink = { check: async () => [], shows: async () => false, discard: async () => {}, [Symbol.asyncDispose]: async () => {} };
  const line = () => {};
  const log = { debug: line, info: line, warn: (text: string) => void warned.push(text), error: line, with: () => log };
  const failpoint = (name: string) => {
    if (name === 'slot-created') hooks.slotMade?.();
  };
  const putAll = state.putAll.bind(state);
  state.putAll = async (entries) => {
    const done = await putAll(entries);
    hooks.stored?.();
    return done;
  };
  const ctx = {
    ...{ state, bus, registry, topics: topicsOf(), clock, log, tasksBusPartitions: 1, changesBusPartitions: 2 },
    ...{
      ids: { next: () => `i${++ids}` },
      failpoint,
      signal: new AbortController().signal,
      openSource: async () => source,
      openSink: async () => sink,
    },
  } as unknown as ServiceContext;
  await state.put(stateKeys.pipeline('p'), STREAMING, 0);
  const record = async () => (await readRecord<PipelineRecord>(state, stateKeys.pipeline('p')))!;
  const anchor = async () => (await record()).value.anchor?.id;
  const another = () => new PipelinePlanner(ctx, 'p');
  return { ...{ planner: another(), another, happened, anchor, record, state, slots, hold, warned } };
}

test('a resnapshot drops the slot of the anchor that it replaces before it makes its own', async () => {
  const { planner, happened, anchor } = await resnapshot();
  await planner.step();
  expect(await anchor()).toBeUndefined();
  await planner.step();
  const stored = await anchor();
  expect(happened).toEqual(['dropped old', `anchored ${stored}`]);
});

test('what a planner left that died once a resnapshot had begun is dropped before a slot is made', async () => {
  const { planner, another, happened, anchor, slots } = await resnapshot();
  await planner.step();
  await another().step();
  const stored = await anchor();
  expect(happened).toEqual(['tidied old', `anchored ${stored}`]);
  expect([...slots]).toEqual([stored]);
});

test('planners that die one after the other, each with a slot and no anchor, leave room for the next', async () => {
  let deaths = 3;
  const slotMade = () => {
    if (deaths-- > 0) throw new PipelineError('defect', 'died');
  };
  const { planner, another, anchor, slots } = await resnapshot({ slotMade });
  await planner.step();
  for (let planners = 0; planners < 3; planners++) await expect(another().step()).rejects.toThrow('died');
  await another().step();
  expect(await anchor()).toBeDefined();
  expect([...slots]).toEqual([await anchor()]);
});

test('an attempt whose slot is dropped while no anchor is stored can not be stored any more', async () => {
  const { planner, another, state, record, hold, slots } = await resnapshot();
  await planner.step();
  const late = await record();
  hold.tidying = new PipelineError('prerequisite', 'no right to do that');
  await expect(another().step()).rejects.toThrow('no free slot');
  expect(await state.put(late.key, { ...late.value, anchor: anchorOf('old') }, late.version)).toBeUndefined();
  expect([...slots]).toEqual(['old']);
});

test('nothing is dropped for a planner that wakes up late: the record has changed', async () => {
  const { planner, another, state, record, slots } = await resnapshot();
  await planner.step();
  const before = await record();
  const put = state.put.bind(state);
  // Another planner stores the anchor after this one has listed the slots.
  state.put = async (key, value, expected) => {
    state.put = put;
    await put(key, { ...before.value, phase: 'anchored', anchor: anchorOf('old') }, expected);
    return put(key, value, expected);
  };
  await expect(another().step()).rejects.toMatchObject({ kind: 'conflict' });
  expect([...slots]).toEqual(['old']);
});

test('a slot that cannot be dropped is warned of, and the new one is tried all the same', async () => {
  const { planner, another, happened, slots, hold, warned, anchor } = await resnapshot();
  await planner.step();
  hold.tidying = new PipelineError('prerequisite', 'no right to do that');
  await expect(another().step()).rejects.toThrow('no free slot');
  expect(warned).toEqual(['earlier slots cannot be dropped']);
  slots.clear(); // By hand, as the hint says.
  await another().step();
  expect(happened).toEqual([`anchored ${await anchor()}`]);
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
  expect(happened).toEqual(['dropped old', `anchored ${id}`]);
});

test('what a pipeline waits for is said again when the store has lost it', async () => {
  const { planner, record, state, slots, hold } = await resnapshot();
  await planner.step();
  slots.add('another');
  hold.tidying = new PipelineError('unavailable', 'Somebody streams from it.');
  const waits = async () => {
    const error = new PipelineError('prerequisite', 'no free slot');
    await expect(planner.step()).rejects.toThrow(error.message);
    await planner.waitFor(error);
    return (await record()).value.waiting;
  };
  expect(await waits()).toBe('no free slot');
  const { value, version } = await record();
  await state.put(stateKeys.pipeline('p'), { ...value, waiting: null }, version);
  expect(await waits()).toBe('no free slot');
});
