import { expect, test } from 'vitest';
import { positionOf } from './position.ts';
import type { CaptureRecord, SinkReport } from './records.ts';
import { appliedUpTo, waitingOnBus } from './watch.ts';

const at = (lsn: bigint) => positionOf(lsn, 0n);
const TOPIC = 'nanosync.p.public.orders.changes';
const capture = { published: at(100n), ends: { [TOPIC]: [10, 20] } } as unknown as CaptureRecord;
const report = (next: readonly number[], last = [at(50n), at(60n)]) =>
  ({ built: true, watermark: at(50n), bus: { topic: TOPIC, next, last } }) as unknown as SinkReport;

test('what is applied reaches as far as capture where nothing waits, and as far as the last applied change where something does', () => {
  expect(appliedUpTo(capture, report([10, 20]))).toBe(at(100n));
  expect(appliedUpTo(capture, report([9, 20]))).toBe(at(50n));
  expect(appliedUpTo(capture, report([10, 19]))).toBe(at(60n));
  expect(appliedUpTo(capture, report([3, 4]))).toBe(at(50n));
});

test('a sink that is ahead of what capture has stored is as far as it says itself', () => {
  expect(appliedUpTo(capture, report([11, 21], [at(120n), at(130n)]))).toBe(at(120n));
});

test('a topic to which nothing was published holds nothing back', () => {
  expect(appliedUpTo({ ...capture, ends: {} }, report([0, 0]))).toBe(at(100n));
});

test('before a table is built nothing is applied; without its progress the watermark counts', () => {
  expect(appliedUpTo(capture, undefined)).toBeUndefined();
  expect(appliedUpTo(capture, { ...report([10, 20]), built: false })).toBeUndefined();
  const { bus: _, ...older } = report([10, 20]);
  expect(appliedUpTo(capture, older)).toBe(at(50n));
  expect(appliedUpTo(undefined, report([10, 20]))).toBe(at(50n));
});

test('what waits is counted from what capture has published, whether or not a sink-writer looks', () => {
  expect(waitingOnBus(capture, report([7, 19]))).toBe(4);
  expect(waitingOnBus(capture, report([11, 21]))).toBe(0);
  expect(waitingOnBus(capture, undefined)).toBeUndefined();
});
