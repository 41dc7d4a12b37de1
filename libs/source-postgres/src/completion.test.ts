import { expect, test } from 'vitest';
import { fullXid } from './completion.ts';

const epoch = 1n << 32n;

test.each([
  [5, 7n, 5n],
  [7, 5n, 7n],
  [3, 2n * epoch + 10n, 2n * epoch + 3n],
  // Just below a wrap seen from just above it, and the other way round.
  [0xffff_fff0, 2n * epoch + 10n, 2n * epoch - 16n],
  [10, 2n * epoch - 16n, 2n * epoch + 10n],
  [0x8000_0000, 3n * epoch + 0xffff_ffffn, 3n * epoch + 0x8000_0000n],
])('transaction %i near %s is %s', (xid, near, full) => {
  expect(fullXid(xid, near)).toBe(full);
});
