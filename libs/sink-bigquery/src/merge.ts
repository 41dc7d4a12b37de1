import type { GenerationId, KeyedRows, Sink, TableSchema } from '@nanosync/core';
import { givenUp, keyIndexes, otherPartitions, PipelineError, rowSchemaJson } from '@nanosync/core';
import type { Source } from './build.ts';
import { checkComplete, countRejected, refusal, rejectedRows, sourceOf, stagedRows } from './build.ts';
import { sameKeyCell, valueSql } from './cell-sql.ts';
import { columnProblem, keyColumns, POSITION_COLUMN, stagingColumn } from './column-types.ts';
import { epochState, of, whereEpoch } from './epochs.ts';
import { dropStaging, sweep } from './generations.ts';
import { raisedBy } from './google-error.ts';
import { physicalName, viewName } from './names.ts';
import { column, demand, int, text, transaction } from './sql.ts';
import { staged } from './staged-ledger.ts';
import { currentEpoch } from './views.ts';
import type { Warehouse } from './warehouse.ts';

type MergeRequest = Parameters<Sink['merge']>[0];

/** Rows that lack a cell of the key, and keys that stand in several rows of the complete partitions. */
export async function keyFaults(warehouse: Warehouse, request: KeyedRows): Promise<{ readonly nulls: number; readonly doubled: number }> {
  const { source } = await completeOf(warehouse, request);
  if (source.tables.length === 0) return { nulls: 0, doubled: 0 };
  const from = stagedRows(warehouse, request.schema, source);
  const key = keyColumns(request.schema).map(({ type }, place) => {
    const staged = stagingColumn(keyIndexes(request.schema)[place] as number);
    return type.kind === 'float64' ? `CAST(${staged} AS STRING)` : staged;
  });
  const isNull = key.map((cell) => `${cell} IS NULL`).join(' OR ');
  const jobs = await warehouse.jobs();
  const [counts] = await jobs.query(
    `SELECT (SELECT COUNT(*) FROM ${from} WHERE ${isNull}) AS nulls,
  (SELECT COUNT(*) FROM (SELECT COUNT(*) AS n FROM ${from} WHERE NOT (${isNull}) GROUP BY ${key.join(', ')}) WHERE n > 1) AS doubled`,
  );
  return { nulls: Number(counts?.nulls), doubled: Number(counts?.doubled) };
}

/** Writes the complete partitions over the rows of the generation that has the table's name: one transaction, once for an epoch. */
export async function merge(warehouse: Warehouse, request: MergeRequest): Promise<{ readonly rows: number }> {
  const { generation: id, schema } = request;
  let known = await epochState(warehouse, id);
  if (known.state === 'none') {
    const problem = columnProblem(schema);
    if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
    const into = await targetOf(warehouse, request);
    const { source, rows, unread } = await completeOf(warehouse, request);
    const jobs = await warehouse.jobs();
    try {
      await warehouse.alone(() => jobs.change('merge', mergeScript(warehouse, { request, into, source, rows, unread })));
    } catch (error) {
      const raised = raisedBy(error);
      if (raised === 'rows differ')
        throw new PipelineError('defect', `the staging tables of ${id.table} have not the rows that their ledger says.`, { cause: error });
      if (raised === 'name moved')
        throw new PipelineError('conflict', `another generation of ${id.table} took its name meanwhile.`, { cause: error });
      if (raised !== 'merged' && raised !== 'gone') throw error;
    }
    known = await epochState(warehouse, id);
  }
  if (known.state !== 'merged') throw givenUp(id);
  await dropStaging(warehouse, id);
  await sweep(warehouse, id.table);
  return { rows: known.rowsBuilt };
}

/** The generation that has the name; refuses other columns than the rows have. */
async function targetOf(warehouse: Warehouse, { generation: id, schema }: KeyedRows): Promise<GenerationId> {
  const current = await currentEpoch(warehouse, id.pipeline, id.table);
  const into: GenerationId = { ...id, epoch: current ?? '' };
  const state = current === undefined ? undefined : await epochState(warehouse, into);
  if (state?.state !== 'built') throw new PipelineError('conflict', `no generation of ${id.table} has its name.`);
  if (state.rowSchema !== rowSchemaJson(schema))
    throw new PipelineError('table-changed', `the rows of ${id.table} in BigQuery have other columns, or another key, than the result.`, {
      hint: `Write the table anew: nanosync pipeline resnapshot ${id.pipeline}`,
    });
  return into;
}

async function completeOf(warehouse: Warehouse, { generation: id, schema, partitions: count }: KeyedRows) {
  const partitions = await staged(warehouse, id);
  checkComplete(id, partitions, otherPartitions([], count));
  const source = await sourceOf(warehouse, id, schema, partitions);
  const sum = (of: (partition: (typeof partitions)[0]) => number) => partitions.reduce((total, partition) => total + of(partition), 0);
  return { source, rows: sum(({ rows }) => rows), unread: sum(({ quarantined }) => quarantined) };
}

interface MergeParts {
  readonly request: MergeRequest;
  /** The generation that has the name. */
  readonly into: GenerationId;
  readonly source: Source;
  readonly rows: number;
  readonly unread: number;
}

/** The merge as one transaction. It changes the row of the name, where it meets every switch, every discard and every other merge. */
function mergeScript(warehouse: Warehouse, { request, into, source, rows, unread }: MergeParts): string {
  const { generation: id, schema, l0 } = request;
  const [names, generations] = [warehouse.meta('names'), warehouse.meta('generations')];
  const { ids } = warehouse.api.options;
  const events = (event: string) => `(SELECT COUNT(*) FROM ${generations} WHERE ${whereEpoch(id)} AND event = '${event}')`;
  const named = `name = ${text(viewName(id.table))} AND ${whereEpoch(into)}`;
  const from = source.tables.length === 0 ? undefined : stagedRows(warehouse, schema, source);
  const rejected = countRejected(warehouse, id);
  return transaction([
    // Invariant 'one-build': an epoch is merged once, and never after it was given up.
    demand(`${events('merged')} = 0`, 'merged'),
    demand(`${events('gone')} = 0`, 'gone'),
    demand(`(SELECT COUNT(*) FROM ${names} WHERE ${named}) = 1`, 'name moved'),
    `UPDATE ${names} SET id = ${text(ids.next())} WHERE ${named}`,
    ...(from === undefined
      ? []
      : [
          demand(`(SELECT COUNT(*) FROM ${from}) = ${int(rows)}`, 'rows differ'),
          rejectedRows(warehouse.meta('rejected_rows'), id, schema, from),
          rowsOver(warehouse.table(physicalName(into)), schema, from, l0),
        ]),
    `INSERT INTO ${generations} (pipeline, tbl, epoch, event, id)
SELECT DISTINCT pipeline, tbl, epoch, 'gone', ${text(ids.next())} FROM ${generations}
WHERE pipeline = ${text(id.pipeline)} AND tbl = ${text(id.table)} AND event = 'merged'`,
    `INSERT INTO ${generations} (pipeline, tbl, epoch, event, id, row_schema, l0, rows_built, quarantined)
SELECT ${of(id)}, 'merged', '', ${text(rowSchemaJson(schema))}, ${text(l0)}, ${int(rows)} - ${rejected}, ${int(unread)} + ${rejected}`,
  ]);
}

/** The statement that writes staged rows over those of a table; no two of them have one key. */
export function rowsOver(target: string, schema: TableSchema, from: string, l0: string): string {
  const keyAt = keyIndexes(schema);
  const value = (index: number) => valueSql((schema.columns[index] as TableSchema['columns'][0]).type, `S.${stagingColumn(index)}`);
  const same = keyColumns(schema).map(({ name, type }, place) => sameKeyCell(type, `T.${column(name)}`, value(keyAt[place] as number)));
  const sets = schema.columns.flatMap(({ name }, index) => (keyAt.includes(index) ? [] : [`${column(name)} = ${value(index)}`]));
  const names = [...schema.columns.map(({ name }) => column(name)), POSITION_COLUMN];
  const values = [...schema.columns.map((_, index) => value(index)), text(l0)];
  return `MERGE ${target} AS T USING (SELECT * FROM ${from} WHERE ${refusal(schema)} IS NULL) AS S
ON ${same.join(' AND ')}
WHEN MATCHED THEN UPDATE SET ${[...sets, `${POSITION_COLUMN} = ${text(l0)}`].join(', ')}
WHEN NOT MATCHED THEN INSERT (${names.join(', ')}) VALUES (${values.join(', ')})`;
}
