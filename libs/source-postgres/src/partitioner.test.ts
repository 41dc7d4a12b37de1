import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pageRanges } from './partitioner.ts';

test('ranges follow each other from page 0, the last one open, none empty', () => {
  const size = fc.record({
    pages: fc.nat(50_000_000),
    bytes: fc.nat(Number.MAX_SAFE_INTEGER),
    rows: fc.double({ min: 1, max: 1e12, noNaN: true }),
  });
  fc.assert(
    fc.property(size, fc.integer({ min: 50_000, max: 10_000_000 }), (table, targetRows) => {
      const scaled = {
        ...table,
        bytes: table.pages * 8192 + (table.bytes % (table.pages * 100_000 + 1)),
        rows: Math.min(table.rows, table.pages * 290),
      };
      const ranges = pageRanges(scaled, targetRows).map((range) =>
        range.split(':').map((border) => (border === '' ? Number.POSITIVE_INFINITY : Number(border))),
      );
      expect(ranges[0]?.[0]).toBe(0);
      expect(ranges.at(-1)?.[1]).toBe(Number.POSITIVE_INFINITY);
      for (const [index, [from = 0, to = 0]] of ranges.entries()) {
        expect(from).toBeLessThan(to);
        if (index > 0) expect(from).toBe(ranges[index - 1]?.[1]);
      }
    }),
    { numRuns: 50 },
  );
});

test('ranges are sized by rows, and by bytes where rows are large', () => {
  expect(pageRanges({ pages: 1000, bytes: 8_192_000, rows: 100_000 }, 10_000)).toHaveLength(10);
  expect(pageRanges({ pages: 1000, bytes: 8_192_000, rows: 100_000 }, 100_000)).toEqual(['0:']);
  expect(pageRanges({ pages: 1000, bytes: 2 ** 30, rows: 1000 }, 100_000)).toHaveLength(4);
  expect(pageRanges({ pages: 3, bytes: 24_576, rows: 3000 }, 10)).toEqual(['0:1', '1:2', '2:']);
  expect(pageRanges({ pages: 0, bytes: 0, rows: 0 }, 10)).toEqual(['0:']);
});
