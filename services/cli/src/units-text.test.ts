import { expect, test } from 'vitest';
import { counted, countText, durationText, rateText, sizeText } from './units-text.ts';

test('numbers are written for people', () => {
  expect([0, 20_000, 1_234_567].map(countText)).toEqual(['0', '20,000', '1,234,567']);
  expect([0, 999, 1000, 48_000_000, 1_200_000_000].map(sizeText)).toEqual(['0 B', '999 B', '1.0 kB', '48 MB', '1.2 GB']);
  expect([0, 59, 60, 200, 3600, 3660, 187_200, 86_405].map(durationText)).toEqual([
    ...['0 s', '59 s', '1 min', '3 min 20 s', '1 h', '1 h 1 min', '2 d 4 h', '1 d'],
  ]);
  expect([0, 0.14, 9.9, 118.3].map(rateText)).toEqual(['0', '0.1', '9.9', '118']);
  expect([counted(1, 'row'), counted(2000, 'row')]).toEqual(['1 row', '2,000 rows']);
});
