import { type BigQueryPlace, queryAll, queryPages } from './bigquery-rest.ts';
import type { CanonicalColumn } from './canonical.ts';
import { canonicalBigQuery, quoteBigQuery } from './canonical-bigquery.ts';
import type { KeyedRows } from './merge.ts';
import { rowTextOf } from './row-text.ts';
import type { RowsRequest, SinkEnd, Warehouse } from './sink-end.ts';

/** Where in a BigQuery a pipeline writes, and under which names. */
export interface BigQueryTables extends BigQueryPlace {
  readonly dataset: string;
  /** The name that a source table has in the dataset. */
  readonly nameOf: (table: string) => string;
}

/** A dataset as the end that is compared. */
export function bigqueryEnd(place: BigQueryTables, signal?: AbortSignal): SinkEnd {
  return {
    describe: (table) => describe(place, table),
    canonical: canonicalBigQuery,
    rows: (request) => rowsOf(place, request, signal),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** A dataset that a demo compares and spoils. */
export function bigqueryWarehouse(place: BigQueryTables, signal?: AbortSignal): Warehouse {
  return {
    open: async () => bigqueryEnd(place, signal),
    change: async (table, query) => {
      await queryAll(place, query(await physicalTable(place, table)));
    },
    look: async (table, query) => (await queryAll(place, query(await physicalTable(place, table))))[0]?.[0] ?? '',
    copyOf: async (table) => {
      const copy = `nanosync_compared_copy_of_${place.nameOf(table)}`;
      const name = tableSql(place, copy);
      await queryAll(place, `CREATE OR REPLACE TABLE ${name} AS SELECT * FROM ${tableSql(place, place.nameOf(table))}`);
      const remove = async () => {
        await queryAll(place, `DROP TABLE ${name}`);
      };
      return { ...bigqueryWarehouse({ ...place, nameOf: () => copy }, signal), [Symbol.asyncDispose]: remove };
    },
  };
}

async function* rowsOf(place: BigQueryTables, { table, columns, key, orders }: RowsRequest, signal?: AbortSignal): KeyedRows {
  const keyAt = key.map((name) => columns.findIndex((column) => column.name === name));
  const order = keyAt.map((at, index) => {
    const column = columns[at] as CanonicalColumn;
    return orders[index] === 'integer' ? `compared.${quoteBigQuery(column.name)}` : column.sink;
  });
  const select = columns.map((column, index) => `${column.sink} AS c${index}`);
  const query = `SELECT ${select.join(', ')} FROM ${tableSql(place, place.nameOf(table))} AS compared ORDER BY ${order.join(', ')}`;
  const reads = columns.map(({ read }) => read);
  for await (const page of queryPages(place, query, signal)) {
    yield page.map((row) => {
      const cells = row.map((cell, index) => (cell === null ? null : (reads[index]?.(cell) ?? cell)));
      return [...keyAt.map((at) => cells[at] ?? ''), rowTextOf(columns, cells)];
    });
  }
}

async function describe(place: BigQueryTables, table: string): Promise<ReadonlyMap<string, string>> {
  const rows = await queryAll(
    place,
    `SELECT column_name, data_type FROM ${tableSql(place, 'INFORMATION_SCHEMA.COLUMNS')} WHERE table_name = ${text(place.nameOf(table))}`,
  );
  return new Map(rows.map(([name, type]) => [name ?? '', type ?? '']));
}

/** The table itself, where the sink shows users a view of it. */
async function physicalTable(place: BigQueryTables, table: string): Promise<string> {
  const name = place.nameOf(table);
  const views = tableSql(place, 'INFORMATION_SCHEMA.VIEWS');
  const [view] = await queryAll(place, `SELECT view_definition FROM ${views} WHERE table_name = ${text(name)}`);
  return /\bFROM\s+((?:`[^`]+`|[\w.-])+)/i.exec(view?.[0] ?? '')?.[1] ?? tableSql(place, name);
}

function tableSql({ project, dataset }: BigQueryTables, name: string): string {
  return [quoteBigQuery(project), quoteBigQuery(dataset), name.startsWith('INFORMATION_SCHEMA.') ? name : quoteBigQuery(name)].join('.');
}

function text(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
