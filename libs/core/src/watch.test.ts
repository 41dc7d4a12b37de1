import { expect, test } from 'vitest';
import { positionOf } from './position.ts';
import type { CaptureRecord, SinkReport } from './records.ts';
import { appliedUpTo, seenByUsers, waitingOnBus } from './watch.ts';

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

test('while another generation is made beside it, what users see is as far as the older one', () => {
  const older = { epoch: 'e1', watermark: at(70n), bus: { topic: TOPIC, next: [9, 20], last: [at(80n), at(90n)] } };
  const beside = { ...report([3, 4]), built: false, older } as unknown as SinkReport;
  expect(appliedUpTo(capture, seenByUsers(beside))).toBe(at(80n));
  expect(appliedUpTo(capture, seenByUsers({ ...report([10, 20]), older: null }))).toBe(at(100n));
  expect(seenByUsers(undefined)).toBeUndefined();
});
