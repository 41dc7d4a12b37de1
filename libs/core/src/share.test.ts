import { FakeClock, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import type { Log, ServiceContext } from './index.ts';
import { ownerOf, Share } from './share.ts';

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, with: () => quiet };
const NAMES = Array.from({ length: 200 }, (_, index) => `pipeline/public.table_${index}`);

function surroundings() {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const join = () => {
    const ending = new AbortController();
    const ctx = { clock, state, log: quiet, ids: { next: () => `t${++ids}` }, signal: ending.signal } as unknown as ServiceContext;
    const share = new Share(ctx, 'sink-writer');
    const kept = share.keep();
    return {
      share,
      leave: async () => {
        ending.abort();
        await kept;
      },
    };
  };
  const owners = (shares: readonly { readonly share: Share }[]) =>
    NAMES.map((name) => shares.filter(({ share }) => share.owns(name)).length);
  return { clock, state, join, owners };
}

test('each name has one owner, whoever comes and goes, and a share of everyone is near its part', async () => {
  const { clock, join, owners } = surroundings();
  const one = join();
  await clock.advance(1000);
  expect(owners([one])).toEqual(NAMES.map(() => 1));
  const two = join();
  const three = join();
  await clock.advance(3000);
  expect(owners([one, two, three])).toEqual(NAMES.map(() => 1));
  for (const { share } of [one, two, three]) expect(NAMES.filter((name) => share.owns(name)).length).toBeGreaterThan(40);
  await one.leave();
  await clock.advance(6000);
  expect(owners([two, three])).toEqual(NAMES.map(() => 1));
  await three.leave();
  await clock.advance(6000);
  expect(owners([two])).toEqual(NAMES.map(() => 1));
  await two.leave();
});

test('a process that came moves only what it takes', () => {
  for (const places of [1, 2, 3, 7]) {
    const moved = NAMES.filter((name) => ownerOf(name, places) !== ownerOf(name, places + 1));
    expect(moved.every((name) => ownerOf(name, places + 1) === places)).toBe(true);
    expect(moved.length).toBeLessThan((2 * NAMES.length) / (places + 1));
  }
});

test('a process that counts the others is not counted twice by one that looks at the same time', async () => {
  const { clock, state, join, owners } = surroundings();
  const one = join();
  const two = join();
  await clock.advance(3000);
  const leased: string[] = [];
  const { lease } = state;
  state.lease = (name, token, ttlMs) => {
    leased.push(name);
    return lease.call(state, name, token, ttlMs);
  };
  await clock.advance(3000);
  expect(new Set(leased)).toEqual(new Set(['sink-writer/place/0', 'sink-writer/place/1']));
  expect(owners([one, two])).toEqual(NAMES.map(() => 1));
  await one.leave();
  await two.leave();
});
