import type { PipelineRecord, ServiceContext, Sink, Source } from '@nanosync/core';
import { leaseNames, newPipeline, PipelineError, putOf, readRecord, stateKeys, topicsOf } from '@nanosync/core';
import { FakeClock, ORDERS, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { deletePipeline } from './deleting.ts';

const connection = { name: 'c', type: 'fake', dsn: null, properties: {} };
const PARTITION = stateKeys.partition('p', ORDERS.table, 'e', 0);

/** A pipeline that is stopped, with something of it everywhere; `die` ends a call of `attempt` at a failpoint. */
async function stopped(deletion: { dropTables: boolean; force?: boolean } = { dropTables: false }) {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  const { bus } = await openMemoryBus({ clock, ids: { next: () => 't' } });
  const definition = {
    ...{ name: 'p', replicationType: 'cdc_backfill' as const, source: { connection, tables: [ORDERS.table] }, sink: { connection } },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  };
  const fresh = newPipeline(definition, 0);
  await state.put(stateKeys.pipeline('p'), { ...fresh, phase: 'stopped', intent: { ...fresh.intent, deletion } }, 0);
  await state.put(stateKeys.table('p', ORDERS.table), { v: 2, table: ORDERS.table }, 0);
  await state.put(PARTITION, { v: 2, phase: 'reading' }, 0);
  for (const key of [stateKeys.capture('p'), stateKeys.watch('p'), stateKeys.sinkReport('p', ORDERS.table), stateKeys.trouble('p', 's')])
    await state.put(key, { v: 2 }, 0);
  await state.put(stateKeys.pipeline('p2'), { ...fresh, definition: { ...definition, name: 'p2' } }, 0);
  const topics = topicsOf();
  for (const topic of [topics.tasks, topics.rows('p'), topics.quarantine('p'), topics.changes('p', ORDERS.table)])
    await bus.ensureTopic(topic, 1);
  const happened: string[] = [];
  /** What others do while the source, or the sink, is at it. */
  const meanwhile: { source?: (() => Promise<unknown>) | undefined; sink?: (() => Promise<unknown>) | undefined } = {};
  const away: { source?: PipelineError; sink?: PipelineError } = {};
  const source = async () => {
    if (away.source !== undefined) throw away.source;
    const release: Source['release'] = async (name, still) => {
      happened.push(`source ${name}`);
      await meanwhile.source?.();
      await still();
    };
    return { release } as unknown as Source;
  };
  const sink = async () => {
    if (away.sink !== undefined) throw away.sink;
    const release: Sink['release'] = async (name, table, { dropTables }) => {
      happened.push(`sink ${name} ${table} ${dropTables}`);
      await meanwhile.sink?.();
    };
    return { release } as unknown as Sink;
  };
  const die: { at?: string | undefined } = {};
  const line = () => {};
  const ctx = {
    ...{ state, bus, topics, clock, log: { debug: line, info: line, warn: line, error: line }, signal: new AbortController().signal },
    failpoint: (name: string) => {
      if (name === die.at) throw new Error('dies');
    },
  } as unknown as ServiceContext;
  const attempt = async () => {
    const stored = await readRecord<PipelineRecord>(state, stateKeys.pipeline('p'));
    return stored === undefined ? 'no record' : deletePipeline({ ctx, stored, source, sink });
  };
  const left = async () => (await state.list('')).map(({ key }) => key);
  return { ctx, state, bus, topics, happened, meanwhile, away, die, attempt, left, fresh };
}

test.each([
  ['cdc-capture', leaseNames.capture('p')],
  ['sink-writer', leaseNames.rows('p')],
  ['sink-writer', leaseNames.table('p', ORDERS.table)],
  ['snapshot-worker', leaseNames.partition(PARTITION)],
])('waits until %s has let go, and has taken nothing away before', async (who, lease) => {
  const { state, attempt, happened, left } = await stopped();
  await state.lease(lease, 'token', 10_000);
  expect(await attempt()).toContain(`once ${who} has stopped`);
  expect(happened).toEqual([]);
  expect(await left()).toHaveLength(8);
  await state.release(lease, 'token');
  expect(await attempt()).toBeNull();
});

test.each([
  'source-released',
  'topics-deleted',
  'sink-released',
  'records-removed',
])('goes on where it died at %s, and leaves nothing', async (failpoint) => {
  const { bus, topics, attempt, happened, left, die } = await stopped();
  die.at = failpoint;
  await expect(attempt()).rejects.toThrow('dies');
  die.at = undefined;
  expect(await attempt()).toBeNull();
  expect(happened.filter((step) => step.startsWith('source'))).toHaveLength(2);
  expect(happened.at(-1)).toBe('sink p null false');
  expect(await left()).toEqual([stateKeys.pipeline('p2')]);
  for (const topic of [topics.rows('p'), topics.quarantine('p'), topics.changes('p', ORDERS.table)])
    expect(await bus.topic(topic)).toBeUndefined();
  expect(await bus.topic(topics.tasks)).toBeDefined();
});

test.each(['source', 'sink'] as const)('waits for a %s that is away, and names the way without it', async (what) => {
  const { attempt, away, left } = await stopped({ dropTables: true });
  away[what] = new PipelineError('unavailable', 'It does not answer.');
  await expect(attempt()).rejects.toMatchObject({
    kind: 'unavailable',
    hint: expect.stringContaining('nanosync pipeline delete p --force --yes'),
  });
  expect(await left()).toContain(stateKeys.pipeline('p'));
  away[what] = undefined as never;
  expect(await attempt()).toBeNull();
});

test('leaves what does not answer where that is asked for', async () => {
  const { attempt, away, left } = await stopped({ dropTables: true, force: true });
  away.source = new PipelineError('unavailable', 'It does not answer.');
  away.sink = new PipelineError('prerequisite', 'It is gone.');
  expect(await attempt()).toBeNull();
  expect(await left()).toEqual([stateKeys.pipeline('p2')]);
});

test.each([
  'source',
  'sink',
] as const)('takes nothing of a pipeline that was applied under its name while it was stopped at the %s', async (where) => {
  const { state, bus, topics, attempt, meanwhile, happened, fresh, left } = await stopped({ dropTables: true });
  let before: readonly string[] = [];
  meanwhile[where] = async () => {
    meanwhile[where] = undefined;
    expect(await attempt()).toBeNull(); // Another planner finishes, and the name is used again.
    await state.put(stateKeys.pipeline('p'), fresh, 0);
    for (const key of [stateKeys.table('p', ORDERS.table), stateKeys.capture('p')]) await state.put(key, { v: 2, table: ORDERS.table }, 0);
    for (const topic of [topics.rows('p'), topics.changes('p', ORDERS.table)]) await bus.ensureTopic(topic, 1);
    before = await left();
    happened.splice(0);
  };
  await expect(attempt()).rejects.toMatchObject({ kind: 'conflict' });
  expect(await left()).toEqual(before);
  expect(happened).toEqual([]);
  for (const topic of [topics.rows('p'), topics.changes('p', ORDERS.table)]) expect(await bus.topic(topic)).toBeDefined();
});

test('what is told of a pipeline that is gone is taken back', async () => {
  const { state, attempt, left } = await stopped();
  await attempt();
  expect(await putOf(state, 'p', stateKeys.trouble('p', 's'), { v: 2 }, 0)).toBeUndefined();
  expect(await left()).toEqual([stateKeys.pipeline('p2')]);
});
