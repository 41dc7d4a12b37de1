import type { ColumnType } from '@nanosync/core';
import { DATE_INFINITY, TIMESTAMP_INFINITY } from '@nanosync/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cellParser } from './cell-text.ts';

function parse(type: ColumnType, text: string): unknown {
  // Inside a larger buffer, as in the stream.
  const bytes = Buffer.from(`<${text}>`);
  return cellParser(type)(bytes, 1, bytes.length - 1);
}

const decimal = (precision: number, scale: number): ColumnType => ({ kind: 'decimal', precision, scale });
const timestamp: ColumnType = { kind: 'timestamp', zoned: false };
const zoned: ColumnType = { kind: 'timestamp', zoned: true };

test.each<[ColumnType, string, unknown]>([
  [{ kind: 'bool' }, 't', true],
  [{ kind: 'bool' }, 'f', false],
  [{ kind: 'int16' }, '-32768', -32768],
  [{ kind: 'int32' }, '-2147483648', -2147483648],
  [{ kind: 'int64' }, '0', 0n],
  [{ kind: 'int64' }, '9007199254740993', 9007199254740993n],
  [{ kind: 'int64' }, '-9223372036854775808', -9223372036854775808n],
  [{ kind: 'float64' }, '0.1', 0.1],
  [{ kind: 'float64' }, '-1e-300', -1e-300],
  [{ kind: 'float64' }, 'NaN', Number.NaN],
  [{ kind: 'float64' }, '-Infinity', Number.NEGATIVE_INFINITY],
  [decimal(12, 2), '12.50', 1250n],
  [decimal(12, 2), '-0.05', -5n],
  [decimal(12, 2), '7', 700n],
  [decimal(38, 10), '1234567890123456789012345678.0123456789', 12345678901234567890123456780123456789n],
  [decimal(18, 15), '-1.5', -1500000000000000n],
  [{ kind: 'text' }, 'grüße 🐘', 'grüße 🐘'],
  [{ kind: 'text' }, '', ''],
  [{ kind: 'json' }, '{"a": 1.10}', '{"a": 1.10}'],
  [{ kind: 'uuid' }, '2f1d3c9e-0000-4000-8000-000000000001', '2f1d3c9e-0000-4000-8000-000000000001'],
  [{ kind: 'bytes' }, '\\x00ff', Buffer.from([0, 255])],
  [{ kind: 'bytes' }, '\\x', Buffer.alloc(0)],
  [{ kind: 'date' }, '1970-01-01', 0],
  [{ kind: 'date' }, '2024-02-29', 19782],
  [{ kind: 'date' }, '0001-01-01', -719162],
  [{ kind: 'date' }, '0001-12-31 BC', -719163],
  [{ kind: 'date' }, '4713-01-01 BC', -2440550],
  [{ kind: 'date' }, '5874897-12-31', 2145042905],
  [{ kind: 'date' }, 'infinity', DATE_INFINITY],
  [{ kind: 'date' }, '-infinity', -DATE_INFINITY],
  [{ kind: 'time' }, '00:00:00', 0],
  [{ kind: 'time' }, '23:59:59.999999', 86_399_999_999],
  [{ kind: 'time' }, '24:00:00', 86_400_000_000],
  [timestamp, '1969-12-31 23:59:59.999999', -1n],
  [timestamp, '2024-02-29 12:00:00.5', 1_709_208_000_500_000n],
  [zoned, '2024-02-29 12:00:00.5+00', 1_709_208_000_500_000n],
  [zoned, '2024-02-29 12:00:00+05:30', 1_709_188_200_000_000n],
  [zoned, '1890-01-01 00:00:00-00:25:21', -2_524_520_079_000_000n],
  [zoned, '0044-03-15 12:00:00+00 BC', -63_517_780_800_000_000n],
  [timestamp, '12345-06-07 01:02:03', 327_416_950_923_000_000n],
  [zoned, '4714-11-24 00:00:00+00 BC', -210_866_803_200_000_000n],
  [zoned, '294247-01-10 04:00:54.775806+00', 9_223_372_036_854_775_806n],
  [timestamp, 'infinity', TIMESTAMP_INFINITY],
  [timestamp, '-infinity', -TIMESTAMP_INFINITY],
])('%o reads %s', (type, text, value) => {
  expect(parse(type, text)).toEqual(value);
});

test.each<[ColumnType, string]>([
  [{ kind: 'bool' }, 'true'],
  [{ kind: 'int32' }, ''],
  [{ kind: 'int32' }, '-'],
  [{ kind: 'int32' }, '1x'],
  [{ kind: 'int64' }, '123456789012345678901'],
  [{ kind: 'float64' }, ''],
  [{ kind: 'float64' }, 'x'],
  [decimal(12, 2), 'NaN'],
  [decimal(12, 2), 'Infinity'],
  [decimal(38, 2), '-Infinity'],
  [decimal(12, 2), '1.234'],
  [{ kind: 'bytes' }, 'abc'],
  [{ kind: 'bytes' }, '\\xzz'],
  [{ kind: 'bytes' }, '\\x0'],
  [{ kind: 'date' }, '24-01-01'],
  [{ kind: 'date' }, '2024-13-01'],
  [{ kind: 'date' }, '01/02/2024'],
  [{ kind: 'date' }, '2024-01-01 BCX'],
  [{ kind: 'date' }, 'infinite'],
  [{ kind: 'time' }, '24:00:01'],
  [{ kind: 'time' }, '12:00'],
  [{ kind: 'time' }, '12:00:00.1234567'],
  [timestamp, '2024-01-01'],
  [timestamp, '2024-01-01T00:00:00'],
  [timestamp, '2024-01-01 00:00:00 PST'],
  // One microsecond more is the value that stands for infinity.
  [timestamp, '294247-01-10 04:00:54.775807'],
  [timestamp, '294276-12-31 23:59:59'],
])('%o refuses %j', (type, text) => {
  expect(() => parse(type, text)).toThrow(expect.objectContaining({ name: 'CellTextError' }));
});

test('no refusal repeats the value', () => {
  expect(() => parse({ kind: 'int32' }, 'secret')).toThrow(expect.objectContaining({ message: expect.not.stringContaining('secret') }));
});

test('every decimal of every scale is exact', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }), fc.integer({ min: 0, max: 20 }), (unscaled, scale) => {
      const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
      const text = `${unscaled < 0n ? '-' : ''}${digits.slice(0, digits.length - scale)}${scale > 0 ? `.${digits.slice(-scale)}` : ''}`;
      expect(parse(decimal(38, scale), text)).toBe(unscaled);
    }),
  );
});

test('every day and microsecond of four-digit years is exact', () => {
  const us = 253_402_300_799_999;
  fc.assert(
    fc.property(fc.integer({ min: -62_135_596_800_000, max: us }), fc.integer({ min: 0, max: 999 }), (ms, micros) => {
      const iso = new Date(ms).toISOString();
      const text = `${iso.slice(0, 10)} ${iso.slice(11, 23)}${String(micros).padStart(3, '0')}+00`;
      expect(parse(zoned, text)).toBe(BigInt(ms) * 1000n + BigInt(micros));
      expect(parse({ kind: 'date' }, iso.slice(0, 10))).toBe(Math.floor(ms / 86_400_000));
    }),
  );
});
