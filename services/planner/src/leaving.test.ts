import type { CaptureRecord, PipelineRecord, ServiceContext, Sink, Source, TableId } from '@nanosync/core';
import { leaseNames, newPipeline, positionOf, stateKeys, topicsOf } from '@nanosync/core';
import { FakeClock, ORDERS, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { letTablesGo } from './leaving.ts';

const GONE = 'public.gone' as TableId;
const connection = { name: 'c', type: 'fake', dsn: null, properties: {} };
const at = (lsn: number) => positionOf(BigInt(lsn), 0n);
const PIPELINE: PipelineRecord = {
  ...newPipeline(
    {
      name: 'p',
      replicationType: 'cdc_backfill',
      source: { connection, tables: [ORDERS.table] },
      sink: { connection },
      snapshot: { concurrency: 1, targetRowsPerPartition: 1, maxRowsPerSecond: null },
    },
    0,
  ),
  ...{ phase: 'streaming', anchor: { id: 'a1', l0: at(1), origin: {} }, recorded: [ORDERS.table], leaving: [GONE] },
};

/** A pipeline with a table that is being taken out, and a list of what is done to it. */
async function fixture(pipeline = PIPELINE) {
  const state = openMemoryState({ clock: new FakeClock() });
  const done: string[] = [];
  await state.put(stateKeys.pipeline('p'), pipeline, 0);
  await state.put(stateKeys.table('p', GONE), { v: 2, table: GONE, anchor: 'a1', epoch: 'e1' }, 0);
  await state.put(stateKeys.partition('p', GONE, 'e1', 0), { v: 2, phase: 'durable' }, 0);
  await state.put(stateKeys.sinkReport('p', GONE), { v: 2 }, 0);
  let after: Record<string, () => Promise<unknown>> = {};
  const step = async (what: string) => {
    done.push(what);
    await after[what]?.();
  };
  const source = {
    withdraw: async (_: string, __: readonly string[], still: () => Promise<boolean>) => step(`withdraw ${await still()}`),
  } as unknown as Source;
  const sink = {
    release: async (_: string, table: string, { dropTables }: { dropTables: boolean }) => step(`release ${table} ${dropTables}`),
  };
  const ctx = {
    ...{ state, topics: topicsOf(), failpoint: (name: string) => after[name]?.(), log: { info: () => {} } },
    bus: { deleteTopic: async (topic: string) => step(`delete ${topic}`) },
  } as unknown as ServiceContext;
  return {
    ...{ state, done },
    /** What capture has stored. */
    captured: (capture: Partial<CaptureRecord>) => state.put(stateKeys.capture('p'), { v: 2, anchor: 'a1', tables: {}, ...capture }, 0),
    on: (what: Record<string, () => Promise<unknown>>) => {
      after = what;
    },
    go: (now = pipeline) =>
      letTablesGo({ ctx, pipeline: now, source: async () => source, sink: async () => sink as unknown as Sink }, async () => {
        done.push('quiet');
      }),
    keys: async () => (await state.list('')).map(({ key }) => key),
  };
}

const STEPS = ['quiet', 'withdraw true', `release ${GONE} false`, `delete ${topicsOf().changes('p', GONE)}`];

test('a table goes once no session needs it: from the publication, then from sink, bus and state, and from the pipeline last', async () => {
  const { captured, go, done, keys, state } = await fixture();
  await captured({ left: { [GONE]: at(7) }, acknowledged: at(7) });
  expect(await go()).toBe(true);
  expect(done).toEqual(STEPS);
  expect(await keys()).toEqual([stateKeys.capture('p'), stateKeys.pipeline('p')]);
  expect(((await state.get(stateKeys.pipeline('p')))?.value as PipelineRecord).leaving).toEqual([]);
});

test.each<[string, Partial<CaptureRecord>]>([
  ['has not heard of it', { acknowledged: at(9) }],
  ['may begin below its end', { left: { [GONE]: at(7) }, acknowledged: at(6) }],
  ['still has it', { left: { [GONE]: at(7) }, acknowledged: at(9), tables: { [GONE]: {} } as unknown as CaptureRecord['tables'] }],
])('a table stays while capture %s', async (_, capture) => {
  const { captured, go, done } = await fixture();
  await captured(capture);
  expect(await go()).toBe(false);
  expect(done).toEqual([]);
});

test('a table stays while its writer has it', async () => {
  const { captured, go, done, state } = await fixture();
  await captured({ left: { [GONE]: at(7) }, acknowledged: at(7) });
  await state.lease(leaseNames.table('p', GONE), 'other', 1000);
  expect(await go()).toBe(false);
  expect(done).toEqual([]);
});

test('a table of a pipeline that only copies waits for no capture, and of an earlier anchor neither', async () => {
  const copied = { ...PIPELINE, definition: { ...PIPELINE.definition, replicationType: 'snapshot' } } as PipelineRecord;
  const copies = await fixture(copied);
  expect(await copies.go()).toBe(true);
  expect(copies.done).toEqual(STEPS.filter((step) => !step.startsWith('withdraw')));
  const anew = await fixture({ ...PIPELINE, anchor: { id: 'a2', l0: at(1), origin: {} } });
  expect(await anew.go()).toBe(true);
});

test('a planner that was stopped meanwhile leaves a table that came again alone', async () => {
  const { captured, go, done, on, state } = await fixture();
  await captured({ left: { [GONE]: at(7) }, acknowledged: at(7) });
  on({
    'withdraw true': async () => {
      const { version } = (await state.get(stateKeys.pipeline('p'))) as { version: number };
      await state.put(stateKeys.pipeline('p'), { ...PIPELINE, recorded: [ORDERS.table, GONE], leaving: [] }, version);
    },
  });
  await expect(go()).rejects.toThrow('let public.gone of pipeline p go');
  expect(done).toEqual(STEPS.slice(0, 2));
});

test('a planner that was stopped while it removed the records removes none of a table that came, and was taken out, again', async () => {
  const { captured, go, state } = await fixture();
  await captured({ left: { [GONE]: at(7) }, acknowledged: at(7) });
  const { remove } = state;
  const again = [stateKeys.table('p', GONE), stateKeys.sinkReport('p', GONE), stateKeys.partition('p', GONE, 'e2', 0)];
  state.remove = async (key, version) => {
    state.remove = remove;
    for (const other of again) {
      await state.remove(other);
      await state.put(other, { v: 2, table: GONE, anchor: 'a1', epoch: 'e2' }, 0);
    }
    return state.remove(key, version);
  };
  await expect(go()).rejects.toMatchObject({ kind: 'conflict' });
  for (const key of again) expect(await state.get(key)).toBeDefined();
  expect(((await state.get(stateKeys.pipeline('p')))?.value as PipelineRecord).leaving).toEqual([GONE]);
});
