import { copyFileSync, existsSync, rmSync } from 'node:fs';
import type { CanonicalColumn } from './canonical.ts';
import { canonicalColumn, quoteName } from './canonical.ts';
import { rowTextSql } from './row-text.ts';
import type { RowsRequest, SinkEnd, Warehouse } from './sink-end.ts';
import { describeSink, openSink, type SinkFile, sinkRows } from './sink-table.ts';

/** A DuckDB file as the end that is compared. */
export function duckdbEnd(sink: SinkFile): SinkEnd {
  return {
    describe: (table) => describeSink(sink, table),
    canonical: canonicalColumn,
    rows: (request) => sinkRows(sink, selectSql(request, 'sink')),
    [Symbol.asyncDispose]: async () => sink.close(),
  };
}

/** The query of one end: the parts of the key, then the whole row as one text, in key order. */
export function selectSql({ table, columns, key, orders }: RowsRequest, end: 'source' | 'sink'): string {
  const keyColumns = key.map((name) => columns.find((column) => column.name === name) as CanonicalColumn);
  const binary = end === 'source' ? ' COLLATE "C"' : '';
  // Qualified, because a bare name would mean the text of the select list.
  const order = keyColumns.map((column, index) =>
    orders[index] === 'integer' ? `compared.${quoteName(column.name)}` : `(${column[end]})${binary}`,
  );
  const select = [...keyColumns.map((column) => column[end]), rowTextSql(columns, end)];
  const from = table.split('.').map(quoteName).join('.');
  return `SELECT ${select.join(', ')} FROM ${from} AS compared ORDER BY ${order.join(', ')}`;
}

/** The DuckDB file of an embedded pipeline that is stopped. */
export function duckdbWarehouse(file: string): Warehouse {
  const using = async <T>(mode: 'READ_ONLY' | 'READ_WRITE', work: (sink: SinkFile) => Promise<T>): Promise<T> => {
    const sink = await openSink(file, mode);
    try {
      return await work(sink);
    } finally {
      sink.close();
    }
  };
  return {
    open: async () => duckdbEnd(await openSink(file)),
    change: (table, query) =>
      using('READ_WRITE', async (sink) => {
        await sink.connection.run(query(await physicalTable(sink, table)));
      }),
    look: (table, query) => using('READ_ONLY', async (sink) => String(await one(sink, query(await physicalTable(sink, table))))),
    copyOf: async () => {
      const copy = `${file}.copy`;
      for (const suffix of ['', '.wal']) if (existsSync(file + suffix)) copyFileSync(file + suffix, copy + suffix);
      const remove = async () => {
        for (const suffix of ['', '.wal']) rmSync(copy + suffix, { force: true });
      };
      return { ...duckdbWarehouse(copy), [Symbol.asyncDispose]: remove };
    },
  };
}

/** The table itself, where the sink shows users a view of it. */
async function physicalTable(sink: SinkFile, table: string): Promise<string> {
  const [schema = '', name = ''] = table.split('.');
  const view = await one(sink, `SELECT sql FROM duckdb_views() WHERE schema_name = '${schema}' AND view_name = '${name}'`);
  const from = view === undefined ? undefined : /\bFROM\s+((?:"[^"]+"|[\w.])+)/i.exec(String(view))?.[1];
  return from ?? `${quoteName(schema)}.${quoteName(name)}`;
}

async function one(sink: SinkFile, query: string): Promise<unknown> {
  return (await sink.connection.runAndReadAll(query)).getRows()[0]?.[0];
}
