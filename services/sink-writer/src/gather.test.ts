import type { Message } from '@nanosync/core';
import { FakeClock } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { gather } from './gather.ts';
import type { PartitionMessages } from './partitions-reader.ts';

const message = (offset: number, bytes = 10): Message =>
  ({ key: null, value: Buffer.alloc(bytes), offset, timestampMs: 0 }) as unknown as Message;
const read = (busPartition: number, ...offsets: number[]): PartitionMessages => ({
  busPartition,
  messages: offsets.map((at) => message(at)),
});

/** A reader that gives these one after the other, each after so much time. */
function readerOf(clock: FakeClock, ...steps: readonly { readonly afterMs: number; readonly read: readonly PartitionMessages[] }[]) {
  const left = [...steps];
  return {
    asked: [] as number[],
    async next(waitMs: number) {
      this.asked.push(waitMs);
      const step = left.shift();
      await clock.advance(step === undefined ? waitMs : Math.min(step.afterMs, waitMs));
      return step?.read ?? [];
    },
  };
}

const running = new AbortController().signal;
const offsets = (got: readonly PartitionMessages[]) =>
  got.map(({ busPartition, messages }) => [busPartition, ...messages.map(({ offset }) => offset)]);

test('without a wait it takes what is there', async () => {
  const clock = new FakeClock();
  const reader = readerOf(clock, { afterMs: 5, read: [read(1, 7)] }, { afterMs: 0, read: [read(1, 8)] });
  expect(offsets(await gather(reader, { clock, signal: running, idleMs: 500 }, { bytes: 1000, waitMs: 0 }))).toEqual([[1, 7]]);
});

test('it gathers until the time is over, in offset order for each bus partition', async () => {
  const clock = new FakeClock();
  const reader = readerOf(
    clock,
    { afterMs: 5, read: [read(1, 7)] },
    { afterMs: 400, read: [read(0, 3), read(1, 8)] },
    { afterMs: 500, read: [] },
  );
  const got = await gather(reader, { clock, signal: running, idleMs: 500 }, { bytes: 1000, waitMs: 1500 });
  expect(offsets(got)).toEqual([
    [1, 7, 8],
    [0, 3],
  ]);
  expect(clock.monotonicMs()).toBe(1505);
  expect(reader.asked.at(-1)).toBe(100);
});

test('it stops when there are bytes enough, and when what is there is whole and nothing more comes', async () => {
  const clock = new FakeClock();
  const full = readerOf(clock, { afterMs: 0, read: [read(0, 1)] }, { afterMs: 0, read: [read(0, 2)] }, { afterMs: 0, read: [read(0, 3)] });
  expect(offsets(await gather(full, { clock, signal: running, idleMs: 500 }, { bytes: 20, waitMs: 9000 }))).toEqual([[0, 1, 2]]);
  const before = clock.monotonicMs();
  const whole = readerOf(clock, { afterMs: 0, read: [read(0, 1)] });
  expect(offsets(await gather(whole, { clock, signal: running, idleMs: 500 }, { bytes: 20, waitMs: 9000, isWhole: () => true }))).toEqual([
    [0, 1],
  ]);
  expect(clock.monotonicMs() - before).toBe(500);
});

test('it gives nothing when nothing comes, and when it is told to stop', async () => {
  const clock = new FakeClock();
  expect(await gather(readerOf(clock), { clock, signal: running, idleMs: 500 }, { bytes: 20, waitMs: 9000 })).toEqual([]);
  const stopped = AbortSignal.abort();
  const reader = readerOf(clock, { afterMs: 0, read: [read(0, 1)] });
  expect(await gather(reader, { clock, signal: stopped, idleMs: 500 }, { bytes: 20, waitMs: 9000 })).toEqual([]);
});
