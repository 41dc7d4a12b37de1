import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pageRanges } from './partitioner.ts';

test('ranges follow each other from page 0, the last one open, none empty', () => {
  const pages = fc.integer({ min: 1, max: 1_000_000 });
  fc.assert(
    fc.property(
      pages,
      fc.double({ min: 0.01, max: 290, noNaN: true }),
      fc.nat(100),
      fc.integer({ min: 1, max: 1_000_000 }),
      (count, density, toast, target) => {
        const size = { pages: count, rows: count * density, bytes: count * 8192 * (1 + toast) };
        // Small targets would make as many ranges as pages.
        const ranges = pageRanges(size, Math.max(target, (size.rows * 10) / count, size.rows / 1000));
        const borders = ranges.flatMap((range) => range.split(':'));
        expect([borders[0], borders.at(-1)]).toEqual(['0', '']);
        const inner = borders.slice(1, -1).map(Number);
        expect(inner.filter((_, index) => index % 2 === 0)).toEqual(inner.filter((_, index) => index % 2 === 1));
        expect(ranges.every((range) => range.endsWith(':') || Number(range.split(':')[0]) < Number(range.split(':')[1]))).toBe(true);
      },
    ),
  );
});

test('ranges are sized by rows, and by bytes where rows are large', () => {
  expect(pageRanges({ pages: 1000, bytes: 8_192_000, rows: 100_000 }, 10_000)).toHaveLength(10);
  expect(pageRanges({ pages: 1000, bytes: 8_192_000, rows: 100_000 }, 100_000)).toEqual(['0:']);
  expect(pageRanges({ pages: 1000, bytes: 2 ** 30, rows: 1000 }, 100_000)).toHaveLength(4);
  expect(pageRanges({ pages: 3, bytes: 24_576, rows: 3000 }, 10)).toEqual(['0:1', '1:2', '2:']);
  expect(pageRanges({ pages: 0, bytes: 0, rows: 0 }, 10)).toEqual(['0:']);
});
