import type { PipelineDefinition, PipelineRecord, ServiceContext, Source, SourceRetention, WatchRecord } from '@nanosync/core';
import { newPipeline, PipelineError, positionOf, readRecord, stateKeys } from '@nanosync/core';
import { FakeClock, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { watchPipeline } from './watch.ts';

const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };
const at = (lsn: bigint) => positionOf(lsn, 0n);
const KEPT: SourceRetention = { end: at(9n), state: 'safe', keptBytes: 5, limitBytes: 10, leftBytes: 5, setting: 'limit' };

function watching() {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  const ending = new AbortController();
  const answers: (() => Promise<SourceRetention>)[] = [];
  const opened = { now: 0, ever: 0 };
  const source = {
    retention: () => (answers.shift() ?? (async () => KEPT))(),
    distance: () => 0,
    [Symbol.asyncDispose]: async () => void opened.now--,
  } as unknown as Source;
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const openSource = async () => {
    opened.now++;
    opened.ever++;
    return source;
  };
  const ctx = { state, clock, log, signal: ending.signal, openSource } as unknown as ServiceContext;
  const record = async () => (await readRecord<WatchRecord>(state, stateKeys.watch('p')))?.value;
  const put = async (change: Partial<PipelineRecord>) => {
    const stored = await state.get(stateKeys.pipeline('p'));
    const definition: PipelineDefinition = {
      name: 'p',
      replicationType: 'cdc_backfill',
      source: { connection: CONNECTION, tables: ['public.orders'] },
      sink: { connection: CONNECTION },
      snapshot: { concurrency: 1, targetRowsPerPartition: 1, maxRowsPerSecond: null },
    };
    await state.put(stateKeys.pipeline('p'), { ...newPipeline(definition, 0), ...change }, stored?.version ?? 0);
  };
  return { clock, state, ctx, answers, opened, record, put, end: () => ending.abort() };
}

const ANCHOR = { id: 'a', l0: at(1n), origin: {} };

test('nothing is asked before there is an anchor; then a record is kept', async () => {
  const { clock, ctx, opened, record, put, end } = watching();
  await put({});
  const done = watchPipeline(ctx, 'p');
  await clock.advance(3000);
  expect([opened.ever, await record()]).toEqual([0, undefined]);
  await put({ anchor: ANCHOR });
  await clock.advance(3000);
  expect(await record()).toMatchObject({ anchor: 'a', source: { keptBytes: 5 }, failure: null });
  end();
  await done;
  expect(opened.now).toBe(0);
});

test('a source that does not answer holds nothing up: the other figures go on, and its late answer counts at its time', async () => {
  const { clock, ctx, answers, record, put, end } = watching();
  await put({ anchor: ANCHOR });
  let reply: (retention: SourceRetention) => void = () => {};
  answers.push(() => new Promise((resolve) => (reply = resolve)));
  const done = watchPipeline(ctx, 'p');
  const askedMs = clock.nowMs();
  await clock.advance(10_000);
  expect(await record()).toMatchObject({ source: null, failure: null });
  expect((await record())?.counts).toHaveLength(2);
  reply(KEPT);
  await clock.advance(6000);
  expect((await record())?.trail[0]).toMatchObject({ atMs: askedMs });
  end();
  await done;
});

test('a source that is away is said, and opened anew', async () => {
  const { clock, ctx, answers, opened, record, put, end } = watching();
  await put({ anchor: ANCHOR });
  answers.push(() => Promise.reject(new PipelineError('unavailable', 'It is away.')));
  const done = watchPipeline(ctx, 'p');
  await clock.advance(0);
  expect(await record()).toMatchObject({ failure: 'It is away.', source: null });
  await clock.advance(3000);
  expect([(await record())?.failure, opened.ever]).toEqual([null, 2]);
  end();
  await done;
});

test('nothing of a pipeline that was deleted meanwhile stays behind', async () => {
  const { clock, state, ctx, answers, record, put, end } = watching();
  await put({ anchor: ANCHOR });
  answers.push(async () => {
    await state.remove(stateKeys.pipeline('p'));
    return KEPT;
  });
  const done = watchPipeline(ctx, 'p');
  await clock.advance(3000);
  expect(await record()).toBeUndefined();
  end();
  await done;
});
