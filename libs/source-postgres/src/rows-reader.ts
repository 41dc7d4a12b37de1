import type { Cell, Row, TableSchema, VersionedRow } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Client } from 'pg';
import { cellText } from './cell-print.ts';
import { CellTextError } from './cell-text-error.ts';
import type { ReadableTable } from './completion-statement.ts';
import { lookUp } from './completion-statement.ts';
import type { Connect } from './connection.ts';
import { destroy, quoteIdent, withConnection } from './connection.ts';
import type { Hasher } from './hasher.ts';
import { codeOf } from './postgres-error.ts';
import type { TablePlan } from './table-plan.ts';
import { tablePlan } from './table-plan.ts';
import { outputText } from './type-map.ts';

/** A lookup of some hundred keys by index; what takes longer than this has no index to use. */
const TIMEOUT_MS = 60_000;

/** The table, a column or its schema went away between lookup and read. */
const GONE = new Set(['42P01', '42703', '3F000', '42704', '42883']);

/** What the rows are read of. */
export interface RowsOf {
  readonly table: { readonly schema: TableSchema; readonly storage: string };
  readonly hasher: Hasher;
}

/** Reads rows by key in one statement, under its own snapshot. */
export async function readRows(
  connect: Connect,
  { table, hasher }: RowsOf,
  keys: readonly Row[],
  signal: AbortSignal,
): Promise<readonly (VersionedRow | undefined)[]> {
  signal.throwIfAborted();
  const plan = tablePlan(table.schema, table.storage, hasher);
  if (keys.length === 0) return [];
  const read = async (client: Client) => {
    const abandon = () => destroy(client);
    signal.addEventListener('abort', abandon, { once: true });
    try {
      return await readOnce(client, plan, keys);
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  };
  try {
    return await withConnection(connect, 'rows', read, { statementTimeoutMs: TIMEOUT_MS });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

async function readOnce(client: Client, plan: TablePlan, keys: readonly Row[]): Promise<readonly (VersionedRow | undefined)[]> {
  const table = await lookUp(client, plan);
  const sql = table === undefined ? undefined : rowsSql(plan, table);
  if (table === undefined || sql === undefined) throw changed(plan);
  const types = plan.keyAt.map((at) => (plan.schema.columns[at] as (typeof plan.schema.columns)[0]).type);
  const values = types.map((type, index) => keys.map((key) => cellText(type, key[index] as Cell)));
  const { rows } = await client.query<(string | null)[]>({ text: sql, values, rowMode: 'array' }).catch((error: unknown): never => {
    throw GONE.has(codeOf(error) ?? '') ? changed(plan, error) : error;
  });
  return rows.map(([version, ...texts]) =>
    version === null || version === undefined ? undefined : { version, cells: texts.map((text, place) => cellOf(plan, place, text)) },
  );
}

/**
 * Parameters are an array of texts for each key column. A row's place and the transaction that wrote it are its version: a place is used again
 * only by another transaction. LATERAL with LIMIT keeps the planner at one index lookup a key.
 */
function rowsSql({ keyAt }: TablePlan, table: ReadableTable): string | undefined {
  const { columns } = table;
  if (columns.some((column) => column === undefined)) return undefined;
  const known = columns as readonly NonNullable<(typeof columns)[0]>[];
  const match = keyAt.map((at, index) => {
    const column = known[at] as (typeof known)[0];
    return `t.${quoteIdent(column.name)} ${column.equals} k.k${index}::${column.typeName}`;
  });
  const cells = known.map((column, index) => `${outputText(`t.${quoteIdent(column.name)}`)} AS c${index}`);
  const arrays = keyAt.map((_, index) => `$${index + 1}::text[]`);
  return `SELECT r.version ${known.map((_, index) => `, r.c${index}`).join('')}
    FROM unnest(${arrays.join(', ')}) WITH ORDINALITY AS k(${keyAt.map((_, index) => `k${index}`).join(', ')}, o)
    LEFT JOIN LATERAL (SELECT concat(t.ctid, ' ', t.xmin) AS version, ${cells.join(', ')} FROM ${table.from} AS t
      WHERE ${match.join(' AND ')} LIMIT 1) AS r ON true
    ORDER BY k.o`;
}

/** The cell of a text. One that has no cell is of a row that cannot be sent: it stands as a text that no sink has. */
function cellOf(plan: TablePlan, place: number, text: string | null | undefined): Cell {
  if (text === null || text === undefined) return null;
  const raw = Buffer.from(text);
  try {
    return plan.parsers[place]?.(raw, 0, raw.length) ?? null;
  } catch (error) {
    if (!(error instanceof CellTextError)) throw error;
    throw new PipelineError('prerequisite', `Column ${plan.columns[place]?.name} of ${plan.table} holds a value that cannot be sent.`, {
      hint: 'Correct the row at the source; it is in quarantine.',
    });
  }
}

function changed({ table }: TablePlan, cause?: unknown): PipelineError {
  return new PipelineError('table-changed', `Table ${table} is not as it was planned: its columns changed, or it is gone.`, { cause });
}
