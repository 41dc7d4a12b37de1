import type { ScanRequest, SinkRow } from '@nanosync/core';
import { parsePosition } from '@nanosync/core';
import type { CellForm } from './cell-read.ts';
import { cellForm, cellLiteral, hasKeyCell } from './cell-read.ts';
import { keyColumns, POSITION_COLUMN } from './column-types.ts';
import { epochState, notThere } from './epochs.ts';
import { GoogleError } from './google-error.ts';
import type { ResultRow } from './jobs.ts';
import { physicalName } from './names.ts';
import { column } from './sql.ts';
import type { Warehouse } from './warehouse.ts';

/** A query's text may have a million characters; the keys of one take at most so many. */
const KEY_CHARACTERS = 500_000;

/** Reads a generation by queries of its own: writers are not in their way, nor they in the writers'. */
export async function* scan(
  warehouse: Warehouse,
  { generation: id, schema, keys, signal }: ScanRequest,
  told: <T>(work: () => Promise<T>) => Promise<T>,
): AsyncGenerator<readonly SinkRow[]> {
  signal.throwIfAborted();
  const state = await told(async () => ((await warehouse.isPrepared()) ? (await epochState(warehouse, id)).state : 'none'));
  if (state !== 'built') throw notThere(id);
  const forms = schema.columns.map(({ type }) => cellForm(type));
  const cells = schema.columns.map(({ name }, index) => `${(forms[index] as CellForm).sql(`T.${column(name)}`)} AS c${index}`);
  const select = `SELECT ${[...cells, `T.${POSITION_COLUMN} AS position`].join(', ')} FROM ${warehouse.table(physicalName(id))} AS T`;
  const queries = keys === undefined ? [select] : conditions(schema, keys).map((condition) => `${select} WHERE ${condition}`);
  for (const sql of queries) {
    const pages = (await warehouse.jobs()).pages(sql);
    for (;;) {
      signal.throwIfAborted();
      const page = await told(() =>
        pages.next().catch((error: unknown): never => {
          throw error instanceof GoogleError && error.isNotFound ? notThere(id) : error;
        }),
      );
      if (page.done === true) break;
      yield page.value.map((row) => rowOf(row, forms));
    }
  }
}

function rowOf(row: ResultRow, forms: readonly CellForm[]): SinkRow {
  const cells = forms.map(({ read }, index) => {
    const value = row[`c${index}`] ?? null;
    return value === null ? null : read(value);
  });
  const position = row.position ?? null;
  return { cells, position: position === null ? null : parsePosition(position) };
}

/** Conditions for all of the keys, as many as a query's text takes in each. */
function conditions(schema: ScanRequest['schema'], keys: NonNullable<ScanRequest['keys']>): readonly string[] {
  const columns = keyColumns(schema);
  const [first] = columns;
  // With one list BigQuery reads only the blocks of a clustered table that can match.
  const single = columns.length === 1 && first !== undefined && !/^(?:float64|decimal)$/.test(first.type.kind) ? first : undefined;
  const join = (parts: readonly string[]) =>
    single === undefined ? parts.join(' OR ') : `T.${column(single.name)} IN (${parts.join(', ')})`;
  const found: string[] = [];
  let parts: string[] = [];
  let length = 0;
  for (const key of keys) {
    const part =
      single === undefined
        ? `(${columns.map(({ name, type }, index) => hasKeyCell(type, `T.${column(name)}`, key[index] ?? null)).join(' AND ')})`
        : cellLiteral(single.type, key[0] ?? null);
    if (parts.length > 0 && length + part.length > KEY_CHARACTERS) {
      found.push(join(parts));
      [parts, length] = [[], 0];
    }
    parts.push(part);
    length += part.length + 4;
  }
  if (parts.length > 0) found.push(join(parts));
  return found;
}
