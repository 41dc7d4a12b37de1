import type { Cell, Column, ColumnType, GenerationId, Row, ScanRequest, Sink, SinkChange, TableSchema } from '@nanosync/core';
import { DATE_INFINITY, TIMESTAMP_INFINITY, UNCHANGED } from '@nanosync/core';
import { at, changeOf, endOf, rowBatchOf } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CellForm } from './cell-read.ts';
import { cellForm, cellLiteral } from './cell-read.ts';
import { scratch, shown } from './test-support.ts';

const decimal = (precision: number, scale: number): ColumnType => ({ kind: 'decimal', precision, scale });
const local: ColumnType = { kind: 'timestamp', zoned: false };
const zoned: ColumnType = { kind: 'timestamp', zoned: true };

/** The extremes of each kind, with what {@link shown} makes of them where that is not their own text. */
const VALUES: readonly (readonly [ColumnType, readonly (readonly [Cell, string])[]])[] = [
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
      [63, '63'],
      [-64, '-64'],
      [64, '64'],
    ],
  ],
  [
    { kind: 'int32' },
    [
      [-2_147_483_648, '-2147483648'],
      [2_147_483_647, '2147483647'],
    ],
  ],
  [
    { kind: 'int64' },
    [
      [-9_223_372_036_854_775_808n, '-9223372036854775808'],
      [9_223_372_036_854_775_807n, '9223372036854775807'],
      [-1n, '-1'],
    ],
  ],
  [
    { kind: 'float64' },
    [
      [0.1, '0.1'],
      [-0, '-0'],
      [5e-324, '5e-324'],
      [Number.MAX_VALUE, String(Number.MAX_VALUE)],
      [Number.NaN, 'NaN'],
      [Number.POSITIVE_INFINITY, 'Infinity'],
      [Number.NEGATIVE_INFINITY, '-Infinity'],
    ],
  ],
  [
    decimal(4, 2),
    [
      [9999n, '9999'],
      [-9999n, '-9999'],
      [0n, '0'],
    ],
  ],
  [
    decimal(29, 0),
    [
      [10n ** 29n - 1n, '9'.repeat(29)],
      [1n - 10n ** 29n, `-${'9'.repeat(29)}`],
    ],
  ],
  [
    decimal(38, 9),
    [
      [10n ** 38n - 1n, '9'.repeat(38)],
      [-1n, '-1'],
    ],
  ],
  [
    { kind: 'text' },
    [
      ['', ''],
      ['äöü', 'äöü'],
      ['🦆'.repeat(40), '🦆'.repeat(40)],
      ['it\'s "quoted" \\n \\', 'it\'s "quoted" \\n \\'],
      ['a\nb\tc\r', 'a\nb\tc\r'],
      ['x'.repeat(300_000), 'x'.repeat(300_000)],
    ],
  ],
  [
    { kind: 'json' },
    [
      ['{"a": 1.10, "a": 2}', '{"a": 1.10, "a": 2}'],
      ['12345678901234567890.10', '12345678901234567890.10'],
    ],
  ],
  [
    { kind: 'uuid' },
    [
      ['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000'],
      ['6ba7b810-9dad-11d1-80b4-00c04fd430c8', '6ba7b810-9dad-11d1-80b4-00c04fd430c8'],
    ],
  ],
  [
    { kind: 'bytes' },
    [
      [new Uint8Array(0), ''],
      [Uint8Array.of(0, 1, 255), '0001ff'],
    ],
  ],
  [
    { kind: 'date' },
    [
      [0, '1970-01-01'],
      [-719_162, '0001-01-01'],
      [2_932_896, '9999-12-31'],
    ],
  ],
  [
    { kind: 'time' },
    [
      [0, '00:00:00'],
      [86_399_999_999, '23:59:59.999999'],
    ],
  ],
  [
    local,
    [
      [0n, '0'],
      [-62_135_596_800_000_000n, '-62135596800000000'],
      [253_402_300_799_999_999n, '253402300799999999'],
      [-1n, '-1'],
    ],
  ],
  [
    zoned,
    [
      [1_700_000_000_123_456n, '1700000000123456'],
      [-62_135_596_800_000_000n, '-62135596800000000'],
      [253_402_300_799_999_999n, '253402300799999999'],
    ],
  ],
];

/** Cells that the types do not hold: each is put aside, and never the cause that something else is not written. */
const REFUSED: readonly (readonly [ColumnType, readonly Cell[]])[] = [
  [{ kind: 'date' }, [DATE_INFINITY, -DATE_INFINITY, 2_932_897, -719_163]],
  [{ kind: 'time' }, [86_400_000_000, -1]],
  [local, [TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY, 253_402_300_800_000_000n, -62_135_596_800_000_001n, -9_223_372_036_854_775_808n]],
  [zoned, [TIMESTAMP_INFINITY, 253_402_300_800_000_000n]],
];

let warehouse: Awaited<ReturnType<typeof scratch>>;
let sink: Sink;
beforeAll(async () => {
  warehouse = await scratch();
  sink = await warehouse.open();
});
afterAll(async () => {
  await sink[Symbol.asyncDispose]();
  await warehouse[Symbol.asyncDispose]();
});

function tableOf(name: string, types: readonly ColumnType[]): TableSchema {
  const columns: Column[] = [{ name: 'id', type: { kind: 'int32' } }, ...types.map((type, index) => ({ name: `v${index}`, type }))];
  return { table: `public.${name}` as TableSchema['table'], columns, key: ['id'] };
}

const idOf = (schema: TableSchema): GenerationId => ({ pipeline: 'shop', table: schema.table, epoch: 'e1' });

/** Loads rows as one partition and builds them; the batch is encoded with `encoded`'s types where that is not the table itself. */
async function load(schema: TableSchema, rows: readonly Row[], encoded = schema): Promise<number> {
  const [from = 0] = await sink.claimRows('shop', 'loader', 'rows-topic', 1);
  const names = { epoch: 'e1', partition: 0, attempt: '0123456789abcdef' };
  await sink.stage({
    pipeline: 'shop',
    owner: 'loader',
    moves: [{ busPartition: 0, from, to: from + 1 }],
    batches: [{ batch: rowBatchOf(encoded, rows, { ...names, batch: 0 }).batch, schema }],
    ends: [endOf(schema, { ...names, batches: 1, rows: rows.length })],
  });
  const start = [{ next: 0, session: 1 }];
  const built = { generation: idOf(schema), anchor: 'anchor', schema, partitions: 1, l0: at(100, 0), topicId: 'topic', start };
  return (await sink.build(built)).rows;
}

async function apply(schema: TableSchema, changes: readonly SinkChange[]) {
  const generation = idOf(schema);
  await sink.claim(generation, 'writer');
  const last = changes.at(-1)?.event.position ?? at(100, 0);
  const moves = [{ busPartition: 0, from: 0, to: changes.length, session: 1, last, floor: null }];
  return sink.apply({ generation, owner: 'writer', schema, moves, changes });
}

test('every kind at its extremes arrives exactly, by row batch and by change, and so does null', async () => {
  const schema = tableOf(
    'every',
    VALUES.map(([type]) => type),
  );
  const height = Math.max(...VALUES.map(([, values]) => values.length)) + 1;
  const rowAt = (index: number): Row => [index, ...VALUES.map(([, values]) => values[index]?.[0] ?? null)];
  const rows = Array.from({ length: height }, (_, index) => rowAt(index));
  expect(await load(schema, rows)).toBe(height);
  const changes = rows.map((row, index) => changeOf(schema, 'c', [1000 + index, ...row.slice(1)], at(200 + index)));
  expect(await apply(schema, changes)).toEqual({ applied: height, quarantined: [], defects: 0 });
  const columns = schema.columns
    .slice(1)
    .map(({ name, type }) => `${type.kind === 'float64' || type.kind === 'decimal' ? name : shown(type, name)} AS ${name}`);
  const read = await warehouse.query(
    `SELECT CAST(id AS STRING) AS id, ${columns.join(', ')} FROM ${warehouse.table('public_every')} AS t ORDER BY t.id`,
  );
  const wanted = (first: number) =>
    rows.map((_, index) => [String(first + index), ...VALUES.map(([, values]) => values[index]?.[1] ?? null)]);
  const clean = (type: ColumnType, value: string | null) => {
    if (value === null) return null;
    if (type.kind === 'float64') return float(value);
    return type.kind === 'decimal' ? unscaled(value, type.scale) : value;
  };
  const got = read.map((row) => schema.columns.map(({ name, type }) => clean(type, row[name] ?? null)));
  expect(got).toEqual([...wanted(0), ...wanted(1000)]);
  const scanned: Row[] = [];
  for await (const piece of sink.scan({ generation: idOf(schema), schema, signal: new AbortController().signal }))
    scanned.push(...piece.map(({ cells }) => cells));
  scanned.sort((one, other) => Number(one[0]) - Number(other[0]));
  expect(scanned.map(plain)).toEqual([...rows, ...changes.map(({ event }) => event.after ?? [])].map(plain));
});

/** A row whose bytes can be compared. */
const plain = (row: Row): unknown[] => row.map((cell) => (cell instanceof Uint8Array ? Buffer.from(cell).toString('hex') : cell));

interface Form {
  readonly type: ColumnType;
  readonly cell: Cell;
  readonly form: CellForm;
}

test('every kind at its extremes can be written down, to look for its row', async () => {
  const written = VALUES.filter(([type]) => type.kind !== 'decimal');
  const cells = written.flatMap(([type, values]) => values.map(([cell]): Form => ({ type, cell, form: cellForm(type) })));
  const columns = cells.map(({ type, cell, form }, index) => `${form.sql(cellLiteral(type, cell))} AS c${index}`);
  const [read] = await warehouse.query(`SELECT ${columns.join(', ')}`);
  expect(plain(cells.map(({ form }, index) => form.read(String(read?.[`c${index}`]))))).toEqual(
    plain(cells.map(({ cell }) => (cell === 0 ? 0 : cell))), // As a key -0 is 0.
  );
});

/** The unscaled digits of a number as BigQuery or the emulator writes it: with or without zeros behind, or an exponent. */
function unscaled(value: string, scale: number): string {
  const [mantissa = '', exponent = '0'] = value.split('E');
  const places = (mantissa.split('.')[1] ?? '').length - Number(exponent);
  const digits = BigInt(mantissa.replace('.', ''));
  return String(places > scale ? digits / 10n ** BigInt(places - scale) : digits * 10n ** BigInt(scale - places));
}

/** A FLOAT64 as BigQuery or the emulator writes it, as JavaScript does. */
function float(value: string): string {
  const special = { nan: 'NaN', inf: 'Infinity', '-inf': '-Infinity', infinity: 'Infinity', '-infinity': '-Infinity' }[value.toLowerCase()];
  return special ?? (Object.is(Number(value), -0) ? '-0' : String(Number(value)));
}

test('what a type does not hold is put aside and counted, the rest arrives', async () => {
  const schema = tableOf(
    'refused',
    REFUSED.map(([type]) => type),
  );
  const nulls = REFUSED.map(() => null);
  const bad: readonly { readonly place: number; readonly cell: Cell }[] = REFUSED.flatMap(([, cells], place) =>
    cells.map((cell: Cell) => ({ place, cell })),
  );
  const rowOf = (id: number, { place, cell }: { readonly place: number; readonly cell: Cell }): Row => [
    id,
    ...(nulls as Cell[]).with(place, cell),
  ];
  const rows = [[0, ...nulls], ...bad.map((one, index) => rowOf(index + 1, one)), [99, ...nulls]];
  expect(await load(schema, rows)).toBe(2);
  const rejected = await warehouse.query(
    `SELECT column_name, payload FROM ${warehouse.table('_nanosync_rejected_rows')} WHERE tbl = 'public.refused' ORDER BY column_name`,
  );
  expect(rejected.map((row) => row.column_name)).toEqual(bad.map(({ place }) => `v${place}`).sort());
  expect(rejected.every((row) => row.payload?.includes('"c0"') === true)).toBe(true);
  const changes = bad.map((one, index) => changeOf(schema, 'u', rowOf(index + 200, one), at(200 + index)));
  const good = changeOf(schema, 'c', [500, ...nulls], at(500));
  const done = await apply(schema, [...changes, good]);
  expect(done.quarantined.map(({ change }) => change)).toEqual(changes);
  expect(done).toMatchObject({ applied: 1, defects: 0 });
  expect(done.quarantined[0]?.reason).toMatch(/^column v0: /);
  expect(await warehouse.query(`SELECT CAST(id AS STRING) AS id FROM ${warehouse.table('public_refused')} AS t ORDER BY t.id`)).toEqual([
    { id: '0' },
    { id: '99' },
    { id: '500' },
  ]);
  expect(await sink.generation(idOf(schema))).toMatchObject({ quarantined: 2 * bad.length, changesApplied: 1 });
});

test('text that is not UTF-8 is put aside, not changed', async () => {
  const types: readonly ColumnType[] = [{ kind: 'text' }];
  const schema = tableOf('latin', types);
  const bytes = tableOf('latin', [{ kind: 'bytes' }]);
  const rows: Row[] = [
    [1, Buffer.from([0xff])],
    [2, Buffer.from('ä'.repeat(50))],
    [3, Buffer.concat([Buffer.alloc(100, 65), Buffer.from([0xc3])])],
  ];
  expect(await load(schema, rows, bytes)).toBe(1);
  expect(await warehouse.query(`SELECT v0 FROM ${warehouse.table('public_latin')}`)).toEqual([{ v0: 'ä'.repeat(50) }]);
  expect((await sink.generation(idOf(schema)))?.quarantined).toBe(2);
});

test('keys of the kinds that compare in their own ways meet their rows', async () => {
  const kinds = VALUES.filter(([type]) => /^(float64|text|bytes|time|timestamp)$/.test(type.kind));
  for (const [index, [type, values]] of kinds.entries()) {
    const columns: Column[] = [
      { name: 'k', type },
      { name: 'x', type: { kind: 'int32' } },
    ];
    const schema: TableSchema = { table: `public.key${index}` as TableSchema['table'], columns, key: ['k'] };
    const keys = values.map(([cell]) => cell).filter((cell) => cell !== 'x'.repeat(300_000));
    expect(
      await load(
        schema,
        [...keys, ...keys].map((cell) => [cell, 1]),
      ),
    ).toBe(keys.length);
    const done = await apply(
      schema,
      keys.map((cell, place) => changeOf(schema, place === 0 ? 'd' : 'u', [cell, 2], at(200 + place))),
    );
    expect(done, JSON.stringify(type)).toEqual({ applied: keys.length, quarantined: [], defects: 0 });
    const [row] = await warehouse.query(`SELECT COUNT(*) AS n, COUNTIF(x = 2) AS changed FROM ${warehouse.table(`public_key${index}`)}`);
    expect(row, JSON.stringify(type)).toEqual({ n: String(keys.length - 1), changed: String(keys.length - 1) });
    expect(await found(schema, keys), JSON.stringify(type)).toHaveLength(keys.length - 1);
  }
});

test('rows are found by keys that are decimals, however the type is written down', async () => {
  const schema: TableSchema = { table: 'public.money' as TableSchema['table'], columns: [{ name: 'k', type: decimal(20, 4) }], key: ['k'] };
  const keys = [12_345_678_901_234_567_890n, -1n, 0n, 5000n, 10_000n];
  await load(
    schema,
    keys.map((key) => [key]),
  );
  expect((await found(schema, [...keys, 2n])).flat().sort()).toEqual([...keys].sort());
});

async function found(schema: TableSchema, keys: readonly Cell[]): Promise<Row[]> {
  const rows: Row[] = [];
  const request: ScanRequest = { generation: idOf(schema), schema, keys: keys.map((key) => [key]), signal: new AbortController().signal };
  for await (const piece of sink.scan(request)) rows.push(...piece.map(({ cells }) => cells));
  return rows;
}

test('names that are not plain words are taken as they are', async () => {
  const columns: Column[] = [
    { name: 'Größe', type: { kind: 'int32' } },
    { name: 'two words', type: { kind: 'text' } },
    { name: 'select', type: { kind: 'text' } },
    { name: '名前', type: { kind: 'text' } },
  ];
  const schema: TableSchema = { table: `public.Bestellung "a" 'x'` as TableSchema['table'], columns, key: ['Größe'] };
  expect(await sink.check('shop', [schema.table], [schema])).toEqual([]);
  expect(await load(schema, [[1, "it's", null, 'a']])).toBe(1);
  const change = changeOf(schema, 'u', [1, UNCHANGED, 'b', UNCHANGED], at(200));
  expect(await apply(schema, [change])).toEqual({ applied: 1, quarantined: [], defects: 0 });
  const name = 'public_Bestellung__a___x_';
  expect(await warehouse.query(`SELECT \`two words\` AS a, \`select\` AS b, \`名前\` AS c FROM ${warehouse.table(name)}`)).toEqual([
    { a: "it's", b: 'b', c: 'a' },
  ]);
});

test('a table of many columns fits into the statements', async () => {
  const types = Array.from({ length: 120 }, (_, index) => VALUES[index % VALUES.length]?.[0] as ColumnType);
  const schema = tableOf('wide', types);
  const row = (id: number): Row => [id, ...types.map((_, index) => VALUES[index % VALUES.length]?.[1][0]?.[0] ?? null)];
  expect(await load(schema, [row(1), row(2)])).toBe(2);
  const patch = changeOf(
    schema,
    'u',
    row(1).map((cell, index) => (index > 60 ? UNCHANGED : cell)),
    at(200),
  );
  expect(await apply(schema, [patch, changeOf(schema, 'c', row(3), at(201))])).toEqual({ applied: 2, quarantined: [], defects: 0 });
  expect(await warehouse.query(`SELECT COUNT(*) AS n, COUNT(v119) AS last FROM ${warehouse.table('public_wide')}`)).toEqual([
    { n: '3', last: '3' },
  ]);
});
