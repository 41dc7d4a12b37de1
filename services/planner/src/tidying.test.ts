import type { Anchor, PipelineRecord, ServiceContext, Source } from '@nanosync/core';
import { PipelineError, positionOf, stateKeys } from '@nanosync/core';
import { FakeClock, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { Tidying } from './tidying.ts';

const ANCHOR: Anchor = { id: 'mine', l0: positionOf(100n, 0n), origin: {} };

/** A source that counts how often it was tidied, and what it was answered. */
async function tidied(record: Pick<PipelineRecord, 'anchor' | 'request'>) {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  await state.put(stateKeys.pipeline('p'), { v: 1, ...record }, 0);
  const answers: (boolean | 'away')[] = [];
  let isAway = false;
  const source = {
    tidy: async (_pipeline: string, _anchor: Anchor, still: () => Promise<boolean>) => {
      answers.push(isAway ? 'away' : await still());
      if (isAway) throw new PipelineError('unavailable', 'away');
    },
  } as unknown as Source;
  const warned: string[] = [];
  const warn = (_: string, { err }: { err: string }) => void warned.push(err);
  const tidying = new Tidying({ clock, state, log: { warn } } as unknown as ServiceContext, 'p');
  const away = (now: boolean) => {
    isAway = now;
  };
  const store = async (next: Pick<PipelineRecord, 'anchor' | 'request'>) => {
    await state.put(stateKeys.pipeline('p'), { v: 1, ...next }, (await state.get(stateKeys.pipeline('p')))?.version ?? 0);
  };
  return { clock, answers, warned, away, store, step: () => tidying.step(source, ANCHOR) };
}

test('the source is tidied every five minutes, and soon again when it was away, which is warned of once', async () => {
  const { clock, answers, warned, away, step } = await tidied({ anchor: ANCHOR, request: null });
  away(true);
  await step();
  await step();
  expect(answers).toEqual(['away']);
  await clock.advance(5000);
  await step();
  expect(answers).toEqual(['away', 'away']);
  expect(warned).toEqual([expect.stringContaining('away')]);
  away(false);
  await clock.advance(5000);
  await step();
  await clock.advance(299_000);
  await step();
  expect(answers).toEqual(['away', 'away', true]);
  await clock.advance(1000);
  await step();
  expect(answers).toEqual(['away', 'away', true, true]);
});

test('a no is asked about again soon', async () => {
  const { clock, answers, store, step } = await tidied({ anchor: ANCHOR, request: 'resnapshot' });
  await step();
  await store({ anchor: ANCHOR, request: null });
  await clock.advance(5000);
  await step();
  expect(answers).toEqual([false, true]);
});

test.each([
  ['another anchor is stored', { anchor: { ...ANCHOR, id: 'other' }, request: null }],
  ['none is', { anchor: null, request: null }],
  ['a resnapshot is asked for', { anchor: ANCHOR, request: 'resnapshot' }],
] as const)('nothing is dropped when %s', async (_, record) => {
  const { answers, step } = await tidied(record);
  await step();
  expect(answers).toEqual([false]);
});
