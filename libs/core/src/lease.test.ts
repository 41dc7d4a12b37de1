import { FakeClock, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import type { ServiceContext } from './index.ts';
import { withLease } from './lease.ts';

test('whoever was stopped for so long that another took the lease is told to stop, and the other works alone', async () => {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const ending = new AbortController();
  const ctx = { clock, state, ids: { next: () => `t${++ids}` }, signal: ending.signal } as unknown as ServiceContext;
  const working = new Set<string>();
  const work = async (token: string, signal: AbortSignal) => {
    working.add(token);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    working.delete(token);
  };
  const first = withLease(ctx, 'table', work);
  await clock.advance(0);
  expect([...working]).toEqual(['t1']);
  // The first one is cut off from the store; its lease has run out and somebody else has it.
  await state.release('table', 't1');
  expect(await state.lease('table', 'other', 60_000)).toBe(true);
  await clock.advance(2000);
  expect([...working]).toEqual([]);
  await first;
  await state.release('table', 'other');
  const second = withLease(ctx, 'table', work);
  await clock.advance(1000);
  expect([...working]).toEqual(['t2']);
  ending.abort();
  await clock.advance(1000);
  await second;
});
