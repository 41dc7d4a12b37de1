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
  const tidying = new Tidying({ clock, state, log: { debug: () => {} } } as unknown as ServiceContext, 'p');
  const away = (now: boolean) => {
    isAway = now;
  };
  return { clock, answers, away, step: () => tidying.step(source, ANCHOR) };
}

test('the source is tidied once, and again later when it was away', async () => {
  const { clock, answers, away, step } = await tidied({ anchor: ANCHOR, request: null });
  away(true);
  await step();
  await step();
  expect(answers).toEqual(['away']);
  away(false);
  await clock.advance(60_000);
  await step();
  await clock.advance(60_000);
  await step();
  expect(answers).toEqual(['away', true]);
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
