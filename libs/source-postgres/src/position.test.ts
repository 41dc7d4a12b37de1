import { comparePositions, positionOf } from '@nanosync/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { changeIndex, formatLsn, indexOf, lsnOf, parseLsn, positionOfLsn } from './position.ts';

test('an LSN is read with and without zero padding and printed without', () => {
  expect(parseLsn('16/B374D848')).toBe(0x16_b374_d848n);
  expect(parseLsn('00000016/b374d848')).toBe(0x16_b374_d848n);
  expect(parseLsn('0/00000000')).toBe(0n);
  expect(formatLsn(0x16_0000_0001n)).toBe('16/1');
  for (const text of ['', '16', '16/', '1/2/3', '123456789/0', 'g/0']) expect(() => parseLsn(text)).toThrow(RangeError);
});

test('text order of positions is number order of (LSN, index)', () => {
  const number = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
  fc.assert(
    fc.property(number, number, number, number, (a, i, b, j) => {
      const [one, two] = [positionOfLsn(a, i), positionOfLsn(b, j)];
      expect(Math.sign(comparePositions(one, two))).toBe(a < b || (a === b && i < j) ? -1 : a === b && i === j ? 0 : 1);
      expect([lsnOf(one), indexOf(one)]).toEqual([a, i]);
      expect(parseLsn(formatLsn(a))).toBe(a);
    }),
  );
});

test('a position of another source is refused', () => {
  expect(() => lsnOf(positionOf(1n, 2n, 3n))).toThrow(RangeError);
  expect(() => lsnOf(positionOf(1n))).toThrow(RangeError);
});

test('indexes of a transaction rise with the event and its halves and are never 0', () => {
  const indexes = [1, 2, 3].flatMap((ordinal) => ([0, 1, 2] as const).map((sub) => changeIndex(ordinal, sub)));
  expect(indexes).toEqual([4n, 5n, 6n, 8n, 9n, 10n, 12n, 13n, 14n]);
});
