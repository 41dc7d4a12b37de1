import { expect, test } from 'vitest';
import { FakeClock } from './fake-clock.ts';

test('sleepers wake in the order of their time, each with what follows from it', async () => {
  const clock = new FakeClock(1000);
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number, again = 0) => {
    await clock.sleep(ms);
    woken.push(`${name} at ${clock.nowMs()}`);
    if (again > 0) await sleeper(`${name} again`, again);
  };
  void sleeper('b', 20);
  void sleeper('a', 10, 5);
  void sleeper('late', 21);
  expect([clock.sleeping, clock.nextMs, clock.monotonicMs()]).toEqual([3, 1010, 0]);
  await clock.advance(20);
  expect(woken).toEqual(['a at 1010', 'a again at 1015', 'b at 1020']);
  expect([clock.sleeping, clock.monotonicMs()]).toEqual([1, 20]);
});

test('an aborted sleep ends at once and without error', async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const sleeping = clock.sleep(1000, stop.signal);
  stop.abort();
  await sleeping;
  await clock.sleep(1000, stop.signal);
  expect(clock.sleeping).toBe(0);
});
