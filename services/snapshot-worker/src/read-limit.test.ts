import type { PipelineRecord } from '@nanosync/core';
import { FakeClock } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { ReadLimits } from './read-limit.ts';

const pipeline = (name: string, maxRowsPerSecond: number | null) =>
  ({ definition: { name, snapshot: { maxRowsPerSecond } } }) as unknown as PipelineRecord;

test('all readers of a pipeline together stay below its rate; other pipelines do not wait', async () => {
  const clock = new FakeClock();
  const limits = new ReadLimits(clock);
  const { signal } = new AbortController();
  const began = clock.nowMs();
  const ends: number[] = [];
  const take = (name: string, rate: number | null, rows: number) =>
    limits.take(pipeline(name, rate), rows, signal).then(() => ends.push(clock.nowMs() - began));
  const all = [take('a', 1000, 2000), take('a', 1000, 1000), take('b', null, 1_000_000), take('c', 1000, 500)];
  await clock.advance(10_000);
  await Promise.all(all);
  expect(ends).toEqual([0, 500, 2000, 3000]);
});

test('who waits long says every few seconds that it lives', async () => {
  const clock = new FakeClock();
  const began = clock.nowMs();
  const said: number[] = [];
  const taken = new ReadLimits(clock).take(pipeline('a', 10), 200, new AbortController().signal, async () => {
    said.push(clock.nowMs() - began);
  });
  await clock.advance(20_000);
  await taken;
  expect(said).toEqual([5000, 10_000, 15_000]);
});
