import type { CaptureRecord, PipelineRecord, ServiceContext } from '@nanosync/core';
import { positionOf, stateKeys } from '@nanosync/core';
import { FakeClock, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { CaptureStore, captureStart, reportFailure } from './capture-record.ts';

const ANCHOR = { id: 'a1', l0: positionOf(10n, 0n), origin: {} };
const KEY = stateKeys.capture('p');
const FAILURE = { reason: 'r', cure: 'c' };

function pipelineOf(anchor: typeof ANCHOR): PipelineRecord {
  return { definition: { name: 'p' }, anchor, createdMs: 0 } as unknown as PipelineRecord;
}

async function stored(pipeline: PipelineRecord = pipelineOf(ANCHOR)) {
  const state = openMemoryState({ clock: new FakeClock() });
  await state.put(stateKeys.pipeline('p'), pipeline, 0);
  const record = async () => (await state.get(KEY))?.value as CaptureRecord | undefined;
  return { ctx: { state } as unknown as ServiceContext, state, record };
}

test('of two sessions that begin at the same time one begins', async () => {
  const { ctx, record } = await stored();
  const [one, two] = [await captureStart(ctx, 'p', ANCHOR), await captureStart(ctx, 'p', ANCHOR)];
  await CaptureStore.begin(ctx, 'p', one, 0);
  await expect(CaptureStore.begin(ctx, 'p', two, 0)).rejects.toMatchObject({ kind: 'conflict' });
  expect((await record())?.session).toBe(1);
});

test('the first session of a pipeline is above all of an earlier one of its name, of which nothing is left to ask', async () => {
  const { ctx, record } = await stored({ ...pipelineOf(ANCHOR), createdMs: 5000 });
  await CaptureStore.begin(ctx, 'p', await captureStart(ctx, 'p', ANCHOR), 0);
  expect((await record())?.session).toBe(5001);
  await CaptureStore.begin(ctx, 'p', await captureStart(ctx, 'p', ANCHOR), 0);
  expect((await record())?.session).toBe(5002);
});

test('a session of an anchor that is over does not begin', async () => {
  const { ctx, record } = await stored(pipelineOf({ ...ANCHOR, id: 'a2' }));
  const start = await captureStart(ctx, 'p', ANCHOR);
  await expect(CaptureStore.begin(ctx, 'p', start, 0)).rejects.toMatchObject({ kind: 'conflict' });
  expect(await record()).toBeUndefined();
});

test('why a session stopped is reported, unless another one has gone on or the pipeline has another anchor', async () => {
  const { ctx, record } = await stored();
  const first = await CaptureStore.begin(ctx, 'p', await captureStart(ctx, 'p', ANCHOR), 0);
  const second = await CaptureStore.begin(ctx, 'p', await captureStart(ctx, 'p', ANCHOR), 0);
  expect(await reportFailure(ctx, pipelineOf(ANCHOR), FAILURE, first.version)).toBe(false);
  expect((await record())?.failure).toBeNull();
  expect(await reportFailure(ctx, pipelineOf({ ...ANCHOR, id: 'a0' }), FAILURE, second.version)).toBe(false);
  expect((await record())?.failure).toBeNull();
  expect(await reportFailure(ctx, pipelineOf(ANCHOR), FAILURE, second.version)).toBe(true);
  expect(await record()).toMatchObject({ session: 2, failure: FAILURE });
});
