import type { Position } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { FakeClock } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { Confirmations } from './confirmations.ts';
import type { Lsn } from './position.ts';
import { lsnOf } from './position.ts';

function heldFor(afterMs: number | undefined, mayTell: (lsn: Lsn) => Promise<boolean> = async () => true) {
  const clock = new FakeClock();
  const told: Lsn[] = [];
  const options = afterMs === undefined ? undefined : { afterMs, mayTell: (position: Position) => mayTell(lsnOf(position)) };
  return { clock, told, held: new Confirmations({ clock, options, tell: (lsn) => told.push(lsn) }) };
}

test('without options a value is told at once', () => {
  const { told, held } = heldFor(undefined);
  held.add(5n as Lsn);
  expect(told).toEqual([5n]);
});

test('a value is told when its time has come, of several that are due the last', async () => {
  const { clock, told, held } = heldFor(1000);
  held.add(1n as Lsn);
  await clock.advance(400);
  held.add(2n as Lsn);
  held.add(2n as Lsn);
  held.add(3n as Lsn);
  await clock.advance(599);
  expect(told).toEqual([]);
  await clock.advance(1);
  expect(told).toEqual([1n]);
  held.add(4n as Lsn);
  await clock.advance(400);
  expect(told).toEqual([1n, 3n]);
  await clock.advance(600);
  expect(told).toEqual([1n, 3n, 4n]);
  expect(clock.sleeping).toBe(0);
  held.add(5n as Lsn);
  await clock.advance(1000);
  expect(told.at(-1)).toBe(5n);
});

test('values that come without a break are told with at most a little more of a wait', async () => {
  const { clock, told, held } = heldFor(1000);
  for (let at = 1n; at <= 300n; at++) {
    held.add(at as Lsn);
    await clock.advance(10);
  }
  // The last one told is at least a second old, and hardly more.
  expect(told.at(-1)).toBeGreaterThanOrEqual(174n);
  expect(told.at(-1)).toBeLessThanOrEqual(200n);
  expect(told.length).toBeLessThan(12);
});

test('a value is asked about when its time has come, again while there is no answer, and nothing is told after a no', async () => {
  const answers: (boolean | 'away')[] = ['away', 'away', true, false];
  const asked: Lsn[] = [];
  const { clock, told, held } = heldFor(1000, async (lsn) => {
    asked.push(lsn);
    const answer = answers.shift() ?? true;
    if (answer === 'away') throw new PipelineError('unavailable', 'The store does not answer.');
    return answer;
  });
  held.add(1n as Lsn);
  await clock.advance(2500);
  expect([asked, told]).toEqual([[1n, 1n], []]);
  await clock.advance(1000);
  expect([asked, told]).toEqual([[1n, 1n, 1n], [1n]]);
  held.add(2n as Lsn);
  await clock.advance(1000);
  held.add(3n as Lsn);
  await clock.advance(5000);
  expect([asked, told]).toEqual([[1n, 1n, 1n, 2n], [1n]]);
});

test('what was not told when it is closed never is', async () => {
  const { clock, told, held } = heldFor(1000);
  held.add(1n as Lsn);
  held.close();
  held.add(2n as Lsn);
  await clock.advance(5000);
  expect(told).toEqual([]);
});
