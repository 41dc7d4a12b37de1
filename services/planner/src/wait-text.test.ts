import type { FenceWait } from '@nanosync/core';
import { FakeClock } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { WaitLog } from './wait-text.ts';

test('a wait is logged when it begins, when others are waited for, and each minute, with its table', async () => {
  const clock = new FakeClock();
  const lines: unknown[] = [];
  const line = () => {};
  const log = { debug: line, info: line, error: line, warn: (...args: unknown[]) => void lines.push(args), with: () => log };
  const waits = new WaitLog({ clock, log });
  const wait = (holder: string, ageSeconds: number): FenceWait => ({ holder, ageSeconds, cure: 'END IT;' });
  const fields = { pipeline: 'p', table: 'public.items' };
  for (let second = 0; second < 70; second++) {
    waits.warn('added table waits', fields, [wait(second < 5 ? 'process 7' : 'process 8', second)]);
    await clock.advance(1000);
  }
  expect(lines).toEqual(
    [0, 5, 65].map((second) => ['added table waits', { ...fields, waits: expect.stringContaining(`${second} s; to end it: END IT;`) }]),
  );
});
