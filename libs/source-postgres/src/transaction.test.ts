import { comparePositions } from '@nanosync/core';
import { expect, test } from 'vitest';
import { changeIndex, positionOfLsn } from './position.ts';
import { Transaction } from './transaction.ts';

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
