import type { Cell, ColumnType } from '@nanosync/core';
import { DATE_INFINITY, TIMESTAMP_INFINITY } from '@nanosync/core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { cellText } from './cell-print.ts';
import { cellParser } from './cell-text.ts';

const KINDS: readonly (readonly [ColumnType, fc.Arbitrary<Cell>])[] = [
  [{ kind: 'bool' }, fc.boolean()],
  [{ kind: 'int32' }, fc.integer()],
  [{ kind: 'int64' }, fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)],
  [{ kind: 'float64' }, fc.double()],
  [{ kind: 'decimal', precision: 38, scale: 7 }, fc.bigInt(-(10n ** 38n) + 1n, 10n ** 38n - 1n)],
  [{ kind: 'text' }, fc.string({ unit: 'binary' })],
  [{ kind: 'bytes' }, fc.uint8Array().map((bytes) => Buffer.from(bytes))],
  [{ kind: 'date' }, fc.oneof(fc.integer({ min: -2_440_588, max: 2_145_031_948 }), fc.constantFrom(DATE_INFINITY, -DATE_INFINITY))],
  [{ kind: 'time' }, fc.integer({ min: 0, max: 86_400_000_000 })],
  ...[true, false].map((zoned): readonly [ColumnType, fc.Arbitrary<Cell>] => [
    { kind: 'timestamp', zoned },
    fc.oneof(fc.bigInt(-210_866_803_200_000_000n, 9_223_371_331_199_999_999n), fc.constantFrom(TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY)),
  ]),
];

it.each(KINDS)('%j: what is printed is read back as it was', (type, cells) => {
  fc.assert(
    fc.property(cells, (cell) => {
      const raw = Buffer.from(cellText(type, cell));
      expect(cellParser(type)(raw, 0, raw.length)).toEqual(cell);
    }),
    { numRuns: 500 },
  );
});
