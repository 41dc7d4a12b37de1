import { expect, test } from 'vitest';
import { columnTypeOf, readsBinary, TYPE_OID } from './type-map.ts';

const numeric = (precision: number, scale: number) => ((precision << 16) | (scale & 0x7ff)) + 4;

test('numeric is decimal only where precision and scale say so and fit 38 digits', () => {
  const of = (precision: number, scale: number) => columnTypeOf(TYPE_OID.numeric, numeric(precision, scale));
  expect(of(12, 2)).toEqual({ kind: 'decimal', precision: 12, scale: 2 });
  expect(of(38, 38)).toEqual({ kind: 'decimal', precision: 38, scale: 38 });
  expect(of(1, 0)).toEqual({ kind: 'decimal', precision: 1, scale: 0 });
  for (const [precision, scale] of [
    [39, 0],
    [1000, 500],
    [3, -2],
    [2, 4],
  ] as const)
    expect(of(precision, scale)).toEqual({ kind: 'text' });
  expect(columnTypeOf(TYPE_OID.numeric, -1)).toEqual({ kind: 'text' });
  expect(readsBinary(TYPE_OID.numeric, -1)).toBe(false);
  expect(readsBinary(TYPE_OID.numeric, numeric(12, 2))).toBe(true);
});

test('a type of its own OID is text, read as its output function prints it', () => {
  for (const oid of [700, 1005, 1186, 869, 16_384]) {
    expect(columnTypeOf(oid, -1)).toEqual({ kind: 'text' });
    expect(readsBinary(oid, -1)).toBe(false);
  }
});
