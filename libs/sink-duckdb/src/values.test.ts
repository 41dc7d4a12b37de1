import type { Cell, Column, ColumnType, Row } from '@nanosync/core';
import { DATE_INFINITY, TIMESTAMP_INFINITY } from '@nanosync/core';
import { at, changeOf } from '@nanosync/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MIN_TIMESTAMP } from './limits.ts';
import { applyTo, generationOf, load, scratch, tableOf } from './test-support.ts';

const decimal = (precision: number, scale: number): ColumnType => ({ kind: 'decimal', precision, scale });
const zoned: ColumnType = { kind: 'timestamp', zoned: true };
const local: ColumnType = { kind: 'timestamp', zoned: false };

/** Each kind with cells and the text that DuckDB must make of them. */
const VALUES: readonly (readonly [ColumnType, readonly (readonly [Cell, string | null])[]])[] = [
  [
    { kind: 'bool' },
    [
      [true, 'true'],
      [false, 'false'],
    ],
  ],
  [
    { kind: 'int16' },
    [
      [-32_768, '-32768'],
      [32_767, '32767'],
      [0, '0'],
      [-1, '-1'],
    ],
  ],
  [
    { kind: 'int32' },
    [
      [-2_147_483_648, '-2147483648'],
      [2_147_483_647, '2147483647'],
      [63, '63'],
      [-64, '-64'],
      [64, '64'],
    ],
  ],
  [
    { kind: 'int64' },
    [
      [-9_223_372_036_854_775_808n, '-9223372036854775808'],
      [9_223_372_036_854_775_807n, '9223372036854775807'],
      [-1n, '-1'],
      [4_294_967_296n, '4294967296'],
      [-4_294_967_297n, '-4294967297'],
    ],
  ],
  [
    { kind: 'float64' },
    [
      [0.1, '0.1'],
      [-0, '-0.0'],
      [5e-324, '5e-324'],
      [Number.NaN, 'nan'],
      [Number.POSITIVE_INFINITY, 'inf'],
      [Number.NEGATIVE_INFINITY, '-inf'],
    ],
  ],
  [
    decimal(4, 2),
    [
      [9999n, '99.99'],
      [-9999n, '-99.99'],
      [0n, '0.00'],
    ],
  ],
  [
    decimal(9, 0),
    [
      [999_999_999n, '999999999'],
      [-1n, '-1'],
    ],
  ],
  [
    decimal(18, 6),
    [
      [999_999_999_999_999_999n, '999999999999.999999'],
      [-999_999_999_999_999_999n, '-999999999999.999999'],
    ],
  ],
  [
    decimal(38, 9),
    [
      [10n ** 38n - 1n, `${'9'.repeat(29)}.${'9'.repeat(9)}`],
      [1n - 10n ** 38n, `-${'9'.repeat(29)}.${'9'.repeat(9)}`],
      [-1n, '-0.000000001'],
    ],
  ],
  [
    { kind: 'text' },
    [
      ['', ''],
      ['twelve bytes', 'twelve bytes'],
      ['thirteen byte', 'thirteen byte'],
      ['äöü', 'äöü'],
      ['🦆'.repeat(40), '🦆'.repeat(40)],
      ['it\'s "quoted"', 'it\'s "quoted"'],
      ['x'.repeat(3_000_000), 'x'.repeat(3_000_000)],
    ],
  ],
  [
    { kind: 'json' },
    [
      ['{"a": 1.10, "a": 2}', '{"a": 1.10, "a": 2}'],
      ['"\\ud800"', '"\\ud800"'],
    ],
  ],
  [
    { kind: 'uuid' },
    [
      ['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000'],
      ['ffffffff-ffff-ffff-ffff-ffffffffffff', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
      ['6BA7B810-9dad-11d1-80b4-00c04fd430c8', '6ba7b810-9dad-11d1-80b4-00c04fd430c8'],
    ],
  ],
  [
    { kind: 'bytes' },
    [
      [new Uint8Array(0), ''],
      [Uint8Array.of(0, 1, 255), '\\x00\\x01\\xFF'],
      [new Uint8Array(40).fill(65), 'A'.repeat(40)],
    ],
  ],
  [
    { kind: 'date' },
    [
      [0, '1970-01-01'],
      [-719_528, '0001-01-01 (BC)'],
      [2_932_896, '9999-12-31'],
      [DATE_INFINITY, 'infinity'],
      [-DATE_INFINITY, '-infinity'],
    ],
  ],
  [
    { kind: 'time' },
    [
      [0, '00:00:00'],
      [86_399_999_999, '23:59:59.999999'],
      [86_400_000_000, '24:00:00'],
    ],
  ],
  [
    local,
    [
      [0n, '1970-01-01 00:00:00'],
      [-62_135_596_800_000_000n, '0001-01-01 00:00:00'],
      [253_402_300_799_999_999n, '9999-12-31 23:59:59.999999'],
      [-1n, '1969-12-31 23:59:59.999999'],
      [TIMESTAMP_INFINITY, 'infinity'],
      [-TIMESTAMP_INFINITY, '-infinity'],
      [MIN_TIMESTAMP, '290309-12-22 (BC) 00:00:00'],
      [TIMESTAMP_INFINITY - 1n, '294247-01-10 04:00:54.775806'],
    ],
  ],
  [
    zoned,
    [
      [1_700_000_000_123_456n, '2023-11-14 22:13:20.123456+00'],
      [TIMESTAMP_INFINITY, 'infinity'],
    ],
  ],
];

const columnsOf = (type: ColumnType): Column[] => [
  { name: 'id', type: { kind: 'int32' } },
  { name: 'v', type },
];

for (const [type, values] of VALUES) {
  test(`${JSON.stringify(type)}: every value arrives exactly, by row batch and by change`, async () => {
    await using file = scratch();
    await using sink = await file.open();
    const schema = tableOf(...columnsOf(type));
    const cells: readonly (readonly [Cell, string | null])[] = [...values, [null, null]];
    await load(
      sink,
      schema,
      cells.map(([cell], index): Row => [index, cell]),
    );
    await applyTo(sink, schema, ...cells.map(([cell], index) => changeOf(schema, 'c', [1000 + index, cell], at(200 + index))));
    const rows = await file.query(`SELECT id, v::VARCHAR AS v FROM "public"."t" ORDER BY id`);
    const wanted = (first: number) => cells.map(([, text], index) => ({ id: first + index, v: text }));
    expect(rows).toEqual([...wanted(0), ...wanted(1000)]);
    const [{ type: made } = { type: null }] = await file.query(`SELECT typeof(v) AS type FROM "public"."t" LIMIT 1`);
    expect(made).toBe({ json: 'JSON', uuid: 'UUID', bytes: 'BLOB' }[type.kind as string] ?? made);
  });
}

test.each(VALUES)('%j: every value is scanned as it came, and found by its key', async (type, values) => {
  await using file = scratch();
  await using sink = await file.open();
  const schema = { ...tableOf(...columnsOf(type)), key: ['v'] };
  const cells = values.map(([cell]) => cell).filter((cell, index, all) => all.findIndex((one) => Object.is(one, cell)) === index);
  const rows = cells.map((cell, index): Row => [index, cell]);
  await load(sink, schema, rows);
  const scanned = async (keys?: readonly Row[]) => {
    const found: Row[] = [];
    const request = { generation: generationOf(schema), schema, signal: new AbortController().signal };
    for await (const piece of sink.scan(keys === undefined ? request : { ...request, keys })) found.push(...piece.map((row) => row.cells));
    return found.sort((one, other) => Number(one[0]) - Number(other[0])).map(plain);
  };
  expect(await scanned()).toEqual(rows.map(plain));
  expect(await scanned(cells.map((cell) => [cell]))).toEqual(rows.map(plain));
  for (const [index, cell] of cells.entries()) expect(await scanned([[cell]])).toEqual([plain([index, cell])]);
});

/** A row as it can be compared: bytes as digits, and UUIDs in small letters, as DuckDB and PostgreSQL write them. */
const plain = (row: Row) =>
  row.map((cell) => {
    if (cell instanceof Uint8Array) return Buffer.from(cell).toString('hex');
    return typeof cell === 'string' && /^[0-9a-f-]{36}$/i.test(cell) ? cell.toLowerCase() : cell;
  });

test('texts and nulls of all lengths survive blocks of more rows than a vector has', { timeout: 60_000 }, async () => {
  await using file = scratch();
  await using sink = await file.open();
  const schema = tableOf(
    { name: 'id', type: { kind: 'int32' } },
    { name: 'a', type: { kind: 'text' } },
    { name: 'b', type: { kind: 'bytes' } },
    { name: 'c', type: { kind: 'int64' } },
  );
  const cell = fc.oneof(fc.constant(null), fc.string({ maxLength: 30, unit: 'binary' }));
  const sample = fc.sample(cell, { numRuns: 2500, seed: 7 });
  const rows = sample.map(
    (text, id): Row => [id, text, text === null ? null : Buffer.from(text), id % 3 === 0 ? null : BigInt(id) * 1_000_003n],
  );
  expect(await load(sink, schema, rows)).toBe(2500);
  const read = await file.query(`SELECT a, hex(b) AS b, c::VARCHAR AS c FROM public.t ORDER BY id`);
  const clean = (text: Cell) => (text === null ? null : Buffer.from(text as string).toString());
  expect(read).toEqual(
    rows.map(([, a, b, c]) => ({
      a: clean(a as Cell),
      b:
        b === null
          ? null
          : Buffer.from(b as Uint8Array)
              .toString('hex')
              .toUpperCase(),
      c: c === null ? null : String(c),
    })),
  );
});

const REFUSED: readonly (readonly [ColumnType, Cell])[] = [
  [local, MIN_TIMESTAMP - 1n],
  [zoned, -9_223_372_036_854_775_808n],
  [{ kind: 'date' }, -2_147_483_648],
  [{ kind: 'time' }, 86_400_000_001],
  [{ kind: 'time' }, -1],
  [decimal(4, 2), 10_000n],
  [decimal(12, 2), -(10n ** 12n)],
  [decimal(38, 0), 10n ** 38n],
  [{ kind: 'uuid' }, 'not a uuid'],
  [{ kind: 'uuid' }, '6ba7b810-9dad-11d1-80b4-00c04fd430cg'],
];

test.each(REFUSED)('%j: a value that the type cannot hold is put aside and counted, the rest arrives', async (type, cell) => {
  await using file = scratch();
  await using sink = await file.open();
  const schema = tableOf(...columnsOf(type));
  expect(
    await load(sink, schema, [
      [1, null],
      [2, cell],
      [3, null],
    ]),
  ).toBe(2);
  expect((await sink.staged(generationOf(schema)))[0]).toMatchObject({ rows: 3, quarantined: 1 });
  const bad = changeOf(schema, 'u', [1, cell], at(201));
  const done = await applyTo(sink, schema, bad, changeOf(schema, 'c', [4, null], at(202)));
  expect(done.quarantined.map((one) => one.change)).toEqual([bad]);
  expect(done.quarantined[0]?.reason).toMatch(/^column v: /);
  expect(await file.query('SELECT id FROM public.t ORDER BY id')).toEqual([{ id: 1 }, { id: 3 }, { id: 4 }]);
  expect(await sink.generation(generationOf(schema))).toMatchObject({ quarantined: 2, changesApplied: 1 });
  const [rejected] = await file.query('SELECT row_number, column_name, octet_length(payload) > 0 AS kept FROM _nanosync.rejected_rows');
  expect(rejected).toEqual({ row_number: 1, column_name: 'v', kept: true });
});

test('text that is not UTF-8 is put aside: DuckDB would store an empty text for it', async () => {
  await using file = scratch();
  await using sink = await file.open();
  const bytes = tableOf({ name: 'id', type: { kind: 'int32' } }, { name: 'v', type: { kind: 'bytes' } });
  const schema = tableOf({ name: 'id', type: { kind: 'int32' } }, { name: 'v', type: { kind: 'text' } });
  const { rowBatchOf, endOf } = await import('@nanosync/testkit');
  await sink.claimRows('shop', 'loader', 'rows-topic', 1);
  const rows: Row[] = [
    [1, Buffer.from([0xff])],
    [2, Buffer.from(`${'ä'.repeat(50)}`)],
    [3, Buffer.concat([Buffer.alloc(100, 65), Buffer.from([0xc3])])],
  ];
  const { batch } = rowBatchOf(bytes, rows, { epoch: 'e1', partition: 0, attempt: 'a', batch: 0 });
  await sink.stage({
    pipeline: 'shop',
    owner: 'loader',
    moves: [{ busPartition: 0, from: 0, to: 1 }],
    batches: [{ batch, schema }],
    ends: [endOf(schema, { epoch: 'e1', partition: 0, attempt: 'a', batches: 1, rows: 3 })],
  });
  expect((await sink.staged(generationOf(schema)))[0]?.quarantined).toBe(2);
});
