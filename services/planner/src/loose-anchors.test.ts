import type { Anchor, PipelineRecord, ServiceContext, Source } from '@nanosync/core';
import { PipelineError, positionOf, readRecord, stateKeys } from '@nanosync/core';
import { FakeClock, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { LooseAnchors } from './loose-anchors.ts';

const KEY = stateKeys.pipeline('p');
const anchor = (id: string): Anchor => ({ id, l0: positionOf(100n, 0n), origin: { slot: `slot ${id}` } });

/** A stored pipeline, a source that says what was dropped, and the loose anchors of a planner. */
async function loosened() {
  const state = openMemoryState({ clock: new FakeClock() });
  const warned: string[] = [];
  const log = { warn: (_: string, { err }: { err: string }) => void warned.push(err) };
  const loose = new LooseAnchors({ state, log } as unknown as ServiceContext, 'p');
  const dropped: string[] = [];
  let isAway = false;
  const source = {
    drop: async ({ id }: Anchor) => {
      if (isAway) throw new PipelineError('unavailable', 'away');
      dropped.push(id);
    },
  } as unknown as Source;
  const record = async () => (await readRecord<PipelineRecord>(state, KEY))!;
  const store = async (stored: Anchor | null) => {
    const version = (await state.get(KEY))?.version ?? 0;
    await state.put(KEY, { v: 1, anchor: stored }, version);
  };
  const settle = async () => loose.settle(await record(), async () => source);
  await store(null);
  const away = (now: boolean) => {
    isAway = now;
  };
  return { state, loose, dropped, warned, record, store, settle, away };
}

test('an anchor whose write came to nothing is dropped once the record can not get it any more', async () => {
  const { state, loose, dropped, record, settle } = await loosened();
  const { version } = await record();
  loose.add(anchor('mine'), version);
  // The answer was lost, and the write may still be on its way: it finds another version then.
  expect(await settle()).toBe(true);
  expect(dropped).toEqual([]);
  expect(await state.put(KEY, { v: 1, anchor: anchor('mine') }, version)).toBeUndefined();
  expect(await settle()).toBe(false);
  expect(dropped).toEqual(['mine']);
  expect(await settle()).toBe(false);
  expect(dropped).toEqual(['mine']);
});

test('an anchor whose write was done although its answer was lost stays', async () => {
  const { loose, dropped, record, store, settle } = await loosened();
  loose.add(anchor('mine'), (await record()).version);
  await store(anchor('mine'));
  expect(await settle()).toBe(false);
  await store(anchor('later'));
  await settle();
  expect(dropped).toEqual([]);
});

test('an anchor is dropped when another one is stored, as soon as the source answers; until then that is warned of once', async () => {
  const { loose, dropped, warned, record, store, settle, away } = await loosened();
  loose.add(anchor('mine'), (await record()).version);
  await store(anchor('another'));
  away(true);
  expect(await settle()).toBe(false);
  expect(await settle()).toBe(false);
  expect(dropped).toEqual([]);
  expect(warned).toEqual([expect.stringContaining('away')]);
  away(false);
  await settle();
  expect(dropped).toEqual(['mine']);
});
