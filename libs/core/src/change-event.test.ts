import { avroOracle } from '@nanosync/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { schemaIdOf, wireHeader } from './avro/wire.ts';
import type { Row } from './cell.ts';
import { UNCHANGED } from './cell.ts';
import type { ChangeEvent } from './change-event.ts';
import { ChangeCodec } from './change-event.ts';
import { positionOf } from './position.ts';
import type { TableSchema } from './table.ts';
import { tableIdOf } from './table.ts';

const schema: TableSchema = {
  table: tableIdOf('public', 'orders'),
  key: ['id', 'part no'],
  columns: [
    { name: 'id', type: { kind: 'int64' } },
    { name: 'part no', type: { kind: 'text' } },
    { name: 'price', type: { kind: 'decimal', precision: 38, scale: 2 } },
    { name: 'at', type: { kind: 'timestamp', zoned: true } },
    { name: 'payload', type: { kind: 'bytes' } },
    { name: 'weight', type: { kind: 'float64' } },
    { name: 'flag', type: { kind: 'bool' } },
    { name: 'small', type: { kind: 'int16' } },
    { name: 'day', type: { kind: 'date' } },
    { name: 'clock', type: { kind: 'time' } },
    { name: 'doc', type: { kind: 'json' } },
  ],
};

const int64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });
const row = fc.tuple(
  int64,
  fc.string({ unit: 'binary' }),
  fc.option(fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n })),
  fc.option(int64),
  fc.option(fc.uint8Array({ maxLength: 40 })),
  fc.option(fc.double({ noNaN: true })),
  fc.option(fc.boolean()),
  fc.option(fc.integer({ min: -32768, max: 32767 })),
  fc.option(fc.integer({ min: -2147483647, max: 2147483647 })),
  fc.option(fc.integer({ min: 0, max: 86_400_000_000 })),
  fc.oneof(fc.constant(null), fc.json(), fc.constant(UNCHANGED)),
);

function eventOf(before: ChangeEvent['before'], after: ChangeEvent['after']): ChangeEvent {
  const position = positionOf(77n, 5n);
  return {
    table: schema.table,
    op: 'u',
    before,
    after,
    rowless: true,
    position,
    epoch: 'e1',
    session: 3,
    txId: 4_000_000_000,
    commitMs: 1_700_000_000_123,
  };
}

test('a change event comes back as it was, all 64 bits and "unchanged" included, from its Avro schema alone', () => {
  const codec = new ChangeCodec(schema);
  const reader = ChangeCodec.fromAvro(codec.avro);
  expect(reader.schema).toEqual(schema);
  fc.assert(
    fc.property(fc.option(row), row, (before, after) => {
      const event = eventOf(before?.map((cell) => (cell === UNCHANGED ? null : cell)) ?? null, after);
      const bytes = codec.encode(event, wireHeader(42), { db: 'shop' });
      expect(schemaIdOf(bytes)).toBe(42);
      expect(reader.decode(bytes)).toEqual(event);
      expect(reader.key(after)).toEqual(codec.key(after));
    }),
  );
});

test('another Avro implementation reads it under Debezium’s names', () => {
  const codec = new ChangeCodec(schema);
  const after: Row = [1n, 'ä', -1250n, null, Uint8Array.of(0, 255), 1.5, true, -3, 7, 9, UNCHANGED];
  const bytes = codec.encode(eventOf(null, after), wireHeader(1), { db: 'shop' });
  const [decoded] = avroOracle(codec.avro).decodeAll(bytes.subarray(5)) as {
    op: string;
    source: { table: string };
    after: { id: bigint; part_x20_no: string };
    unchanged: string[];
  }[];
  expect(decoded).toMatchObject({
    op: 'u',
    before: null,
    source: { db: 'shop', schema: 'public', table: 'orders' },
    after: { id: 1n, part_x20_no: 'ä', small: -3 },
    unchanged: ['doc'],
  });
});

test('a row without a key value is refused, never keyed by something else', () => {
  const codec = new ChangeCodec(schema);
  expect(() => codec.key([null, 'x'])).toThrow('no value for key column id');
  expect(() => codec.key([1n, UNCHANGED])).toThrow('no value for key column part no');
});
