import type { Column, ColumnType, TableSchema } from '@nanosync/core';
import { expect, test } from 'vitest';
import { namingProblems } from './check.ts';
import { clusteringOf, columnProblem, physicalFields, primaryKeyOf, sqlTypeOf, stagingFields } from './column-types.ts';
import { physicalName, stagingName, viewName } from './names.ts';

const table = (name: string) => name as TableSchema['table'];
const schemaOf = (columns: readonly Column[], key: readonly string[]): TableSchema => ({ table: table('public.t'), columns, key });
const named = (...names: readonly string[]) =>
  schemaOf(
    names.map((name) => ({ name, type: { kind: 'text' } })),
    names.slice(0, 1),
  );

test.each([
  [29, 0, 'NUMERIC'],
  [38, 9, 'NUMERIC'],
  [30, 0, 'BIGNUMERIC'],
  [38, 8, 'BIGNUMERIC'],
  [12, 10, 'BIGNUMERIC'],
  [38, 38, 'BIGNUMERIC'],
])('numeric(%i,%i) is %s', (precision, scale, type) => {
  expect(sqlTypeOf({ kind: 'decimal', precision, scale })).toBe(type);
});

test('key columns are required, staging columns take anything, and ours come last', () => {
  const schema = schemaOf(
    [
      { name: 'id', type: { kind: 'int64' } },
      { name: 'at', type: { kind: 'timestamp', zoned: true } },
      { name: 'body', type: { kind: 'json' } },
    ],
    ['id'],
  );
  expect(physicalFields(schema)).toEqual([
    { name: 'id', type: 'INT64', mode: 'REQUIRED' },
    { name: 'at', type: 'TIMESTAMP', mode: 'NULLABLE' },
    { name: 'body', type: 'STRING', mode: 'NULLABLE' },
    { name: '_nanosync_position', type: 'STRING', mode: 'NULLABLE' },
  ]);
  expect(stagingFields(schema)).toEqual([
    { name: 'c0', type: 'INT64' },
    { name: 'c1', type: 'INT64' },
    { name: 'c2', type: 'BYTES' },
  ]);
});

test('a table is clustered by up to four columns of its key that can be, and BigQuery is told of keys that it takes', () => {
  const kinds: readonly ColumnType[] = [
    { kind: 'float64' },
    { kind: 'bytes' },
    { kind: 'time' },
    ...Array.from({ length: 14 }, () => ({ kind: 'int32' as const })),
  ];
  const columns = kinds.map((type, index) => ({ name: `k${index}`, type }));
  const names = columns.map(({ name }) => name);
  const all = schemaOf(columns, names);
  expect(clusteringOf(all)).toEqual(['k3', 'k4', 'k5', 'k6']);
  expect(primaryKeyOf(all)).toBeUndefined();
  expect(primaryKeyOf(schemaOf(columns, names.slice(3)))).toEqual(names.slice(3));
  expect(primaryKeyOf(schemaOf(columns, ['k1', 'k3']))).toEqual(['k1', 'k3']);
  expect(primaryKeyOf(schemaOf(columns, ['k0']))).toBeUndefined();
  expect(clusteringOf(schemaOf(columns, ['k0']))).toEqual([]);
  const many = schemaOf(
    Array.from({ length: 17 }, (_, at) => ({ name: `c${at}`, type: { kind: 'int32' as const } })),
    Array.from({ length: 17 }, (_, at) => `c${at}`),
  );
  expect(primaryKeyOf(many)).toBeUndefined();
});

test.each([
  [['a', 'A'], 'column A of public.t and column a have one name in BigQuery, which ignores case.'],
  [['_PARTITIONTIME'], 'column _PARTITIONTIME of public.t begins with _partition, which BigQuery or nanosync keeps for itself.'],
  [['_nanosync_position'], 'column _nanosync_position of public.t begins with _nanosync, which BigQuery or nanosync keeps for itself.'],
  [['a.b'], 'column a.b of public.t has a character that BigQuery does not take in column names.'],
  [['a`b'], 'column a`b of public.t has a character that BigQuery does not take in column names.'],
  [['x'.repeat(301)], `column ${'x'.repeat(301)} of public.t has more than the 300 characters that BigQuery takes.`],
])('columns %j are refused', (names, what) => {
  expect(columnProblem(named(...names))?.what).toBe(what);
});

test('other columns are not', () => {
  expect(columnProblem(named('id', 'größe', 'two words', '名前', 'a-b', 'x'.repeat(300)))).toBeUndefined();
});

test('names are readable, are what BigQuery takes, and tell everything apart', () => {
  expect(viewName(table('public.order "items"'))).toBe('public_order__items_');
  const id = { pipeline: 'shop', table: table('public.orders'), epoch: '0123456789abcdef' };
  expect(physicalName(id)).toMatch(/^public_orders__0123456789abcdef_[0-9a-f]{8}$/);
  expect(physicalName({ ...id, pipeline: 'other' })).not.toBe(physicalName(id));
  expect(viewName(table('public.größe'))).toBe('public_größe');
  expect(physicalName({ ...id, table: table('public.größe') })).toMatch(/^public_gr__e__/);
  expect(stagingName(id, 2)).toMatch(/^_nanosync_staging_[0-9a-f]{16}_2$/);
  expect(namingProblems([table('a.b_c'), table('a_b.c')], [])[0]?.what).toBe('a.b_c and a_b.c would both be a_b_c in BigQuery.');
  expect(namingProblems([table('_nanosync.x')], [])[0]?.what).toContain('keeps for itself');
});
