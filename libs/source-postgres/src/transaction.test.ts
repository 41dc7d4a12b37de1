import { comparePositions } from '@nanosync/core';
import { expect, test } from 'vitest';
import { changeIndex, positionOfLsn } from './position.ts';
import { Transaction } from './transaction.ts';

test('no change ties with the rows of the copy, not even the first one of a commit that lies exactly at L0', () => {
  const l0 = 0x1_0000_abcdn;
  const transaction = new Transaction({ commitLsn: l0, commitMs: 0, xid: 1 });
  const rows = positionOfLsn(l0);
  expect(comparePositions(transaction.beforeNext(), rows)).toBeGreaterThan(0);
  transaction.count();
  for (const half of [1, 2] as const) expect(comparePositions(transaction.position(half), rows)).toBeGreaterThan(0);
});

test('positions are those of position.ts, in ascending order, across every digit', () => {
  const lsn = 0x1_0000_abcdn;
  const transaction = new Transaction({ commitLsn: lsn, commitMs: 0, xid: 1 });
  expect(transaction.last()).toBe(positionOfLsn(lsn));
  for (let ordinal = 1, before = positionOfLsn(lsn); ordinal <= 5000; ordinal++) {
    expect(transaction.beforeNext()).toBe(positionOfLsn(lsn, changeIndex(ordinal, 0)));
    transaction.count();
    const change = transaction.position(1);
    expect(change).toBe(positionOfLsn(lsn, changeIndex(ordinal, 1)));
    expect(comparePositions(before, change)).toBeLessThan(0);
    before = transaction.position(2);
    expect(before).toBe(positionOfLsn(lsn, changeIndex(ordinal, 2)));
    expect(transaction.last()).toBe(before);
  }
});
