import type { SourceEvent } from '@nanosync/core';
import { positionOf, tableIdOf } from '@nanosync/core';
import { expect, test } from 'vitest';
import { freshRecord } from './capture-record.ts';
import { SessionProgress } from './session-progress.ts';

const table = tableIdOf('public', 't');
const at = (lsn: number, index = 0) => positionOf(BigInt(lsn), BigInt(index));
const record = freshRecord({ id: 'a1', l0: at(10), origin: {} }, 1);

function change(lsn: number, parts: Partial<SourceEvent & { kind: 'change' }> = {}): SourceEvent & { kind: 'change' } {
  const rest = { op: 'u', before: null, after: [1n], rowless: false, keyChange: false, completed: false, txId: 1, commitMs: 1 } as const;
  return { kind: 'change', table, position: at(lsn, 5), ...rest, ...parts };
}

test('a change before its table’s generation event is a defect', () => {
  expect(() => new SessionProgress(record).changed(change(11))).toThrow('before its generation event');
});

test('changes between L0 and L1 are counted by kind, a key change once; none after L1', () => {
  const progress = new SessionProgress(record);
  progress.beginTable(table, 'e1', at(10));
  progress.changed(change(11, { op: 'c' }));
  progress.changed(change(12, { completed: true }));
  progress.changed(change(13, { op: 'd', keyChange: true }));
  progress.changed(change(13, { op: 'c', keyChange: true }));
  progress.consistent(table, at(14));
  progress.changed(change(15, { op: 'd' }));
  expect(progress.record.tables[table]).toMatchObject({
    changes: 5,
    l1: at(14),
    overlap: { inserts: 1, updates: 1, deletes: 0, keyChanges: 1, completed: 1 },
  });
});

test('nothing is acknowledged before it is stored, and each value once', () => {
  const progress = new SessionProgress(record);
  progress.beginTable(table, 'e1', at(10));
  progress.changed(change(11));
  progress.commit(at(11, 5), at(11), 7);
  expect(progress.takeAcknowledgement()).toBeUndefined();
  expect(progress.shouldStore(0)).toBe(true);
  expect(progress.record).toMatchObject({ published: at(11, 5), acknowledged: at(11), lastCommitMs: 7 });
  progress.stored(0);
  expect(progress.takeAcknowledgement()).toBe(at(11));
  expect(progress.takeAcknowledgement()).toBeUndefined();
});

test('an open transaction moves what is published and not what may be acknowledged', () => {
  const progress = new SessionProgress(record);
  progress.beginTable(table, 'e1', at(10));
  progress.changed(change(20));
  expect(progress.record).toMatchObject({ published: at(20, 5), acknowledged: at(10) });
});

test('an idle source is stored at most once a second', () => {
  const progress = new SessionProgress(record);
  progress.idle(at(30));
  expect(progress.shouldStore(5000)).toBe(true);
  progress.stored(5000);
  progress.idle(at(31));
  expect(progress.shouldStore(5500)).toBe(false);
  expect(progress.hasUnstoredIdle).toBe(true);
  expect(progress.shouldStore(6000)).toBe(true);
});

test('a table waits for its watermark once it had events and the source is idle', () => {
  const progress = new SessionProgress(record);
  progress.beginTable(table, 'e1', at(10));
  expect(progress.hasDirtyTables).toBe(false);
  progress.idle(at(40));
  expect(progress.hasDirtyTables).toBe(true);
  progress.watermarked(table);
  expect(progress.hasDirtyTables).toBe(false);
});

test('what an earlier session published is not published again', () => {
  const progress = new SessionProgress({ ...record, published: at(20, 5) });
  expect(progress.isPublished(at(20, 5))).toBe(true);
  expect(progress.isPublished(at(20, 6))).toBe(false);
});

test('a session goes on from what the one before it stored: tables, ends and topics', () => {
  const first = new SessionProgress(record);
  first.beginTable(table, 'e1', at(10));
  first.changed(change(11));
  first.consistent(table, at(12));
  first.published({ ends: { topic: [3] }, topics: { topic: 'id' }, events: 3 });
  const second = new SessionProgress(first.record);
  expect(second.hasTable(table)).toBe(true);
  expect(second.isBelowL1(table)).toBe(false);
  second.changed(change(13));
  second.published({ ends: { other: [1] }, topics: { other: 'id 2' }, events: 1 });
  expect(second.record).toMatchObject({
    ends: { topic: [3], other: [1] },
    topics: { topic: 'id', other: 'id 2' },
    tables: { [table]: { epoch: 'e1', l0: at(10), l1: at(12), changes: 2 } },
    eventsPublished: 4,
  });
});

test('a table has begun behind its generation event, for this session and for the next one', () => {
  const first = new SessionProgress(record);
  expect(first.hasBegun(table, at(30))).toBe(false);
  first.beginTable(table, 'e1', at(20, 5));
  for (const progress of [first, new SessionProgress(first.record)])
    expect([at(19), at(20), at(20, 5), at(21)].map((position) => progress.hasBegun(table, position))).toEqual([false, false, true, true]);
});

test('a watermark is never told at a place that lies before what came since', () => {
  for (const since of [
    (progress: SessionProgress) => progress.changed(change(41)),
    (progress: SessionProgress) => progress.commit(at(41), at(41), 1),
  ]) {
    const progress = new SessionProgress(record);
    progress.beginTable(table, 'e1', at(10));
    progress.idle(at(40));
    since(progress);
    expect(progress.idlePosition).toBeUndefined();
    expect(progress.hasDirtyTables).toBe(false);
  }
});
