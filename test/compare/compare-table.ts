import type pg from 'pg';
import type { CanonicalColumn } from './canonical.ts';
import { selectSql } from './duckdb-end.ts';
import type { Difference, KeyOrder } from './merge.ts';
import { mergeRows } from './merge.ts';
import { differingColumns } from './row-text.ts';
import type { SinkEnd } from './sink-end.ts';
import { describeSource, sourceRows } from './source-table.ts';

/** How one table compares: counts, and the first rows that are not the same, in words. */
export interface TableComparison {
  readonly table: string;
  readonly sourceRows: number;
  readonly sinkRows: number;
  readonly missing: number;
  readonly extra: number;
  readonly different: number;
  readonly findings: readonly string[];
}

/** How many rows are named for each table. */
const NAMED = 5;

const INTEGERS = new Set(['int2', 'int4', 'int8']);

/** What is left out of a comparison, and what ends it. */
export interface CompareOptions {
  /** Columns that the pipeline keeps back: the sink must not have them. */
  readonly excluded?: readonly string[];
  readonly signal?: AbortSignal;
}

/** Compares every row and every column of a table (`schema.table`), as text, in key order, streaming both ends. */
export async function compareTable(
  client: pg.Client,
  sink: SinkEnd,
  table: string,
  { excluded = [], signal }: CompareOptions = {},
): Promise<TableComparison> {
  const { columns: all, key } = await describeSource(client, table);
  if (key.length === 0) throw new Error(`${table} has no primary key to compare by`);
  const sinkTypes = await sink.describe(table);
  const shown = excluded.filter((name) => sinkTypes.has(name));
  if (shown.length > 0) throw new Error(`${table} shows at the sink what is to be kept back: ${shown.join(', ')}`);
  const columns = all.filter(({ name }) => !excluded.includes(name));
  const absent = columns.filter((column) => !sinkTypes.has(column.name)).map((column) => column.name);
  if (absent.length > 0) throw new Error(`${table} lacks at the sink: ${sinkTypes.size === 0 ? 'the whole table' : absent.join(', ')}`);
  const pairs = columns.map((column) =>
    sink.canonical({ name: column.name, sourceType: column.type, sinkType: sinkTypes.get(column.name) ?? '' }),
  );
  const orders = key.map(
    (name): KeyOrder => (INTEGERS.has(columns.find((column) => column.name === name)?.type ?? '') ? 'integer' : 'text'),
  );
  const counts = { missing: 0, extra: 0, different: 0 };
  const findings: string[] = [];
  const request = { table, columns: pairs, key, orders };
  const rows = await mergeRows(sourceRows(client, selectSql(request, 'source'), signal), sink.rows(request), orders, (difference) => {
    counts[difference.kind]++;
    if (findings.length < NAMED) findings.push(describe(table, key, pairs, difference));
  });
  return { table, ...rows, ...counts, findings };
}

function describe(table: string, key: readonly string[], pairs: readonly CanonicalColumn[], difference: Difference): string {
  const where = `${table} (${key.map((name, index) => `${name}=${difference.key[index]}`).join(', ')})`;
  switch (difference.kind) {
    case 'missing':
      return `${where}: missing at the sink`;
    case 'extra':
      return `${where}: extra at the sink`;
    case 'different':
      return `${where}: differs in ${differingColumns(pairs, difference.source, difference.sink).join(', ')}`;
  }
}
