import { PipelineError } from '@nanosync/core';
import type { Client } from 'pg';
import { queryJson, quoteIdent, quoteLiteral } from './connection.ts';
import type { TablePlan } from './table-plan.ts';
import { outputText } from './type-map.ts';

/** A table's columns under their present names, and how to read rows of it by key. */
export interface ReadableTable {
  /** Equal as long as table and columns have their names and types; every read checks it in its own statement. */
  readonly shape: string;
  /** The table as FROM takes it. */
  readonly from: string;
  /** By place in the planned schema: the present column, or undefined when it was dropped or has another type now. */
  readonly columns: readonly (ReadableColumn | undefined)[];
  /** A transaction id of about now, 64 bits, from which 32-bit ids of the stream get their epoch. */
  readonly xid: bigint;
}

interface ReadableColumn {
  readonly name: string;
  readonly typeName: string;
  /** The equality of the type's own index order, qualified: its schema may not be on the search path. */
  readonly equals: string;
}

interface CatalogTable {
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly shape: string;
  readonly xid: string;
  readonly columns: readonly (ReadableColumn & { readonly attnum: number; readonly typeOid: number; readonly typmod: number })[] | null;
}

/** Looks up the table as it is now; undefined when it was dropped. */
export async function lookUp(client: Client, plan: TablePlan): Promise<ReadableTable | undefined> {
  const { columns, storage } = plan;
  const found = await queryJson<CatalogTable | null>(client, catalogSql(storage.oid));
  if (found === null) return undefined;
  const only = found.kind === 'p' ? '' : 'ONLY ';
  return {
    shape: found.shape,
    from: `${only}${quoteIdent(found.schema)}.${quoteIdent(found.name)}`,
    columns: columns.map((planned) =>
      found.columns?.find((now) => now.attnum === planned.attnum && now.typeOid === planned.typeOid && now.typmod === planned.typmod),
    ),
    xid: BigInt(found.xid),
  };
}

/** What one row of {@link readSql} holds before its cells. */
export const READ_HEAD = { visible: 0, found: 1, shape: 2, xid: 3, cells: 4 } as const;

/**
 * Reads the columns at these places by many keys at once: parameter 1 the events' transactions, then an array of texts for each
 * key column. LATERAL with LIMIT keeps the planner at one index lookup a key, whatever it thinks of the table.
 */
export function readSql(plan: TablePlan, table: ReadableTable, places: readonly number[]): string | undefined {
  const keys = plan.keyAt.map((at) => table.columns[at]);
  if (keys.some((column) => column === undefined)) return undefined;
  const match = (keys as readonly ReadableColumn[]).map(
    (column, index) => `t.${quoteIdent(column.name)} ${column.equals} k.k${index}::${column.typeName}`,
  );
  const cells = places.map((at, index) => `${outputText(`t.${quoteIdent(present(plan, table, at).name)}`)} AS c${index}`);
  const arrays = keys.map((_, index) => `$${index + 2}::text[]`);
  const names = keys.map((_, index) => `k${index}`);
  return `SELECT pg_visible_in_snapshot(k.x, pg_current_snapshot()), r.found, (${shapeSql(plan.storage.oid)}),
      pg_snapshot_xmax(pg_current_snapshot()) ${places.map((_, index) => `, r.c${index}`).join('')}
    FROM unnest($1::xid8[], ${arrays.join(', ')}) WITH ORDINALITY AS k(x, ${names.join(', ')}, o)
    LEFT JOIN LATERAL (SELECT true AS found ${cells.map((cell) => `, ${cell}`).join('')} FROM ${table.from} AS t
      WHERE ${match.join(' AND ')} LIMIT 1) AS r ON true
    ORDER BY k.o`;
}

function present(plan: TablePlan, table: ReadableTable, at: number): ReadableColumn {
  const column = table.columns[at];
  if (column === undefined) throw new PipelineError('defect', `a column of ${plan.table} that is gone was to be read`);
  return column;
}

/** Table and columns with names and types as one text, under the statement's own snapshot. */
function shapeSql(oid: number): string {
  return `SELECT concat(n.nspname, '.', c.relname, ' ', c.relkind, ' ', (SELECT string_agg(format('%s %I %s %s', a.attnum, a.attname,
      a.atttypid::int8, a.atttypmod), ',' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ${oid}`;
}

function catalogSql(oid: number): string {
  const columns = `SELECT json_agg(json_build_object('attnum', a.attnum, 'name', a.attname, 'typeOid', a.atttypid::int8,
      'typmod', a.atttypmod, 'typeName', format_type(a.atttypid, -1), 'equals', coalesce(e.equals, '=')))
    FROM pg_attribute a LEFT JOIN LATERAL (
      SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname) AS equals FROM pg_opclass oc
      JOIN pg_amop m ON m.amopfamily = oc.opcfamily AND m.amoplefttype = oc.opcintype AND m.amoprighttype = oc.opcintype AND m.amopstrategy = 3
      JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
      WHERE oc.opcmethod = (SELECT am.oid FROM pg_am am WHERE am.amname = ${quoteLiteral('btree')})
        AND oc.opcdefault AND oc.opcintype = a.atttypid LIMIT 1) e ON true
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`;
  return `SELECT coalesce((SELECT json_build_object('schema', n.nspname, 'name', c.relname, 'kind', c.relkind, 'shape', (${shapeSql(oid)}),
      'xid', pg_snapshot_xmax(pg_current_snapshot())::text, 'columns', (${columns}))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ${oid}), 'null'::json)`;
}
