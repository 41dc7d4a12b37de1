import type { TableId, WatchRecord } from '@nanosync/core';
import { positionOf, RECORD_VERSION } from '@nanosync/core';
import { describe, expect, it, test } from 'vitest';
import { ageOf, lagOf, ratesOf, retentionOf, secondsLeftOf } from './figures.ts';

const TABLE = 'public.orders' as TableId;
const at = (lsn: bigint) => positionOf(lsn, 0n);
const count = (atMs: number, applied: number, rows = 0, epoch = 'e') => ({
  ...{ atMs, tables: { [TABLE]: { epoch, rows, published: applied * 2, applied } } },
});

function watchWith(changes: Partial<WatchRecord>): WatchRecord {
  return {
    ...{ v: RECORD_VERSION, anchor: 'a', writtenMs: 100_000, counts: [], behind: {}, failure: null },
    source: { askedMs: 100_000, end: at(50n), state: 'safe', keptBytes: 0, limitBytes: 10_000, leftBytes: 4000, setting: 'limit' },
    trail: [
      { atMs: 60_000, end: at(10n), keptBytes: 0 },
      { atMs: 90_000, end: at(30n), keptBytes: 500 },
      { atMs: 100_000, end: at(50n), keptBytes: 1000 },
    ],
    ...changes,
  };
}

describe('lag', () => {
  const lag = (lsn: bigint, nowMs = 101_000) => lagOf(watchWith({ behind: { [TABLE]: 20 } }), TABLE, at(lsn), nowMs);

  it('is 0 when all is applied that the source had when it was asked last', () => {
    expect(lag(50n)).toEqual({ seconds: 0, atLeast: false, bytes: 0 });
    expect(lag(51n)).toEqual({ seconds: 0, atLeast: false, bytes: 0 });
  });

  it('is the time since the log last ended where all is applied', () => {
    expect(lag(49n)).toEqual({ seconds: 11, atLeast: false, bytes: 20 });
    expect(lag(30n)).toEqual({ seconds: 11, atLeast: false, bytes: 20 });
    expect(lag(29n)).toEqual({ seconds: 41, atLeast: false, bytes: 20 });
  });

  it('is at least as long as what is known, and there is none where nothing is known', () => {
    expect(lag(9n)).toEqual({ seconds: 41, atLeast: true, bytes: 20 });
    expect(lagOf(undefined, TABLE, at(9n), 0)).toBeUndefined();
    expect(lagOf(watchWith({ trail: [] }), TABLE, at(9n), 0)).toBeUndefined();
    expect(lagOf(watchWith({}), TABLE, undefined, 0)).toBeUndefined();
  });
});

describe('rates', () => {
  it('are taken over the last minute, of one epoch, and never below zero', () => {
    const counts = [count(0, 0), count(40_000, 100, 10), count(100_000, 700, 70)];
    expect(ratesOf(watchWith({ counts }), TABLE, 'e')).toEqual({ rows: 1, published: 20, applied: 10 });
    expect(ratesOf(watchWith({ counts: [count(40_000, 900), count(100_000, 3)] }), TABLE, 'e')?.applied).toBe(0);
    const renewed = [count(40_000, 900), count(90_000, 0, 0, 'f'), count(100_000, 50, 0, 'f')];
    expect(ratesOf(watchWith({ counts: renewed }), TABLE, 'f')?.applied).toBe(5);
  });

  it('are not known after one look', () => {
    expect(ratesOf(watchWith({ counts: [count(100_000, 5)] }), TABLE, 'e')).toBeUndefined();
    expect(ratesOf(watchWith({ counts: [count(99_999, 5), count(100_000, 6)] }), TABLE, 'e')).toBeUndefined();
    expect(ratesOf(undefined, TABLE, 'e')).toBeUndefined();
  });
});

describe('what the source keeps', () => {
  it('lasts as long as what is left takes at the rate at which it grows', () => {
    expect(retentionOf(watchWith({}))).toMatchObject({ state: 'safe', growthBytesPerSecond: 25, secondsLeft: 160 });
  });

  it('lasts for ever while it does not grow, or without a limit; nothing is left of what is lost', () => {
    const still = [watchWith({}).trail[0], { atMs: 100_000, end: at(50n), keptBytes: 0 }] as WatchRecord['trail'];
    expect(retentionOf(watchWith({ trail: still }))).toMatchObject({ growthBytesPerSecond: 0, secondsLeft: null });
    const source = { ...watchWith({}).source, limitBytes: null, leftBytes: null, state: 'unlimited' } as WatchRecord['source'];
    expect(retentionOf(watchWith({ source }))).toMatchObject({ secondsLeft: null });
    const lost = { ...watchWith({}).source, leftBytes: 0, state: 'lost' } as WatchRecord['source'];
    expect(retentionOf(watchWith({ source: lost }))).toMatchObject({ state: 'lost', secondsLeft: null });
    expect(retentionOf(watchWith({ source: null }))).toBeUndefined();
  });
});

test('a copy lasts as long as the partitions that are left, and before one is done the estimated rows', () => {
  const copy = { estimated: 1000, rows: 400, durable: 4, total: 10, rowsPerSecond: 60 };
  expect(secondsLeftOf(copy)).toBe(10);
  expect(secondsLeftOf({ ...copy, durable: 0 })).toBe(10);
  expect(secondsLeftOf({ ...copy, rowsPerSecond: 0 })).toBeNull();
  expect(secondsLeftOf({ ...copy, rowsPerSecond: undefined })).toBeNull();
});

test('figures are old when the planner or the source has said nothing for a while', () => {
  expect(ageOf(watchWith({}), 103_000)).toEqual({ sourceSeconds: 3, plannerSeconds: 3, old: false, failure: null });
  expect(ageOf(watchWith({ writtenMs: 130_000, failure: 'away' }), 131_000)).toEqual({
    ...{ sourceSeconds: 31, plannerSeconds: 1, old: true, failure: 'away' },
  });
  expect(ageOf(undefined, 0)).toEqual({ sourceSeconds: null, plannerSeconds: null, old: true, failure: null });
});
