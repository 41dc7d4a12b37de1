import fc from 'fast-check';
import { expect, test } from 'vitest';
import { comparePositions, leastPosition, parsePosition, positionOf, sectionsOf } from './position.ts';

const section = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });

test('text order is position order, and sections come back', () => {
  fc.assert(
    fc.property(section, section, section, section, (a, b, c, d) => {
      const [left, right] = [positionOf(a, b), positionOf(c, d)];
      const expected = a === c ? (b < d ? -1 : b > d ? 1 : 0) : a < c ? -1 : 1;
      expect(Math.sign(comparePositions(left, right))).toBe(expected);
      expect(sectionsOf(left)).toEqual([a, b]);
      expect(parsePosition(left)).toBe(left);
    }),
  );
});

test('only the canonical form is a position', () => {
  for (const text of ['', '0/1', 'g'.repeat(16), '0'.repeat(16).concat('/'), 'a'.repeat(16), '0'.repeat(17)])
    expect(() => parsePosition(text)).toThrow('not a position');
  expect(() => positionOf(-1n)).toThrow();
  expect(() => positionOf(1n << 64n)).toThrow();
  expect(() => comparePositions(positionOf(1n), positionOf(1n, 1n))).toThrow('different sources');
});

test('what has no position is below all', () => {
  expect(leastPosition([positionOf(2n), positionOf(1n)])).toBe(positionOf(1n));
  expect(leastPosition([positionOf(2n), undefined])).toBeUndefined();
  expect(leastPosition([])).toBeUndefined();
});
