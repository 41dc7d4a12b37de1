import type { KeyedRows, Sink, StagedPartition } from '@nanosync/core';
import { givenUp, otherPartitions, PipelineError, rowSchemaJson } from '@nanosync/core';
import { checkComplete, chosenRows, keepAttempts } from './build.ts';
import { POSITION_COLUMN } from './column-types.ts';
import type { Session } from './duckdb-file.ts';
import { forgetMerged } from './generations.ts';
import { physicalName, whereGeneration } from './names.ts';
import { int, name, query, run, text } from './sql.ts';
import { dropStaging, of, staged } from './stage.ts';

/** Rows that lack a cell of the key, and keys that stand in several rows of the complete partitions. */
export async function keyFaults(session: Session, request: KeyedRows): Promise<{ readonly nulls: number; readonly doubled: number }> {
  const source = await sourceOf(session, request);
  if (source === undefined) return { nulls: 0, doubled: 0 };
  const key = request.schema.key.map(name);
  const isNull = key.map((column) => `${column} IS NULL`).join(' OR ');
  const [counts] = await query(
    session.connection,
    `SELECT (SELECT count(*) FROM ${source.from} WHERE ${isNull}) AS nulls,
       (SELECT count(*) FROM (SELECT 1 FROM ${source.from} WHERE NOT (${isNull}) GROUP BY ${key.join(', ')} HAVING count(*) > 1)) AS doubled`,
  );
  return { nulls: Number(counts?.nulls), doubled: Number(counts?.doubled) };
}

/** Writes the complete partitions over the rows of the generation that has the table's name: one transaction, once for an epoch. */
export async function merge(session: Session, request: Parameters<Sink['merge']>[0]): Promise<{ readonly rows: number }> {
  const { connection, meta } = session;
  const { generation: id, schema, l0 } = request;
  const [known] = await query(connection, `SELECT state, rows_built FROM ${meta}.generations WHERE ${whereGeneration(id)}`);
  // Invariant 'one-build': an epoch is merged once, and whoever asks again hears what was done.
  if (known?.state === 'merged') return { rows: Number(known.rows_built) };
  if (known !== undefined) throw givenUp(id);
  const target = await targetOf(session, request);
  const partitions = await staged(session, id);
  const source = await sourceOf(session, request);
  let rows = 0;
  if (source !== undefined) {
    const columns = schema.columns.map((column) => name(column.name)).join(', ');
    const same = schema.key.map((column) => `t.${name(column)} = s.${name(column)}`).join(' AND ');
    await run(connection, `DELETE FROM ${target} AS t USING ${source.from} AS s WHERE ${same}`);
    rows = await run(
      connection,
      `INSERT INTO ${target} (${columns}, ${POSITION_COLUMN}) SELECT ${columns}, ${text(l0)} FROM ${source.from} AS s`,
    );
  }
  await keepAttempts(session, id, partitions);
  await dropStaging(session, id);
  await forgetMerged(session, id);
  const quarantined = partitions.reduce((sum, partition) => sum + partition.quarantined, 0);
  await run(
    connection,
    `INSERT INTO ${meta}.generations VALUES (${of(id)}, 'merged', '', '', ${text(rowSchemaJson(schema))}, ${text(l0)}, ${int(rows)}, '', false, 0,
     ${int(quarantined)}, 0)`,
  );
  return { rows };
}

/** The physical table of the generation that has the name; refuses other columns than the rows have. */
async function targetOf({ connection, meta }: Session, { generation: id, schema }: KeyedRows): Promise<string> {
  const [current] = await query(
    connection,
    `SELECT epoch, row_schema FROM ${meta}.generations WHERE pipeline = ${text(id.pipeline)} AND tbl = ${text(id.table)} AND is_current`,
  );
  if (current === undefined) throw new PipelineError('conflict', `no generation of ${id.table} has its name.`);
  if (current.row_schema !== rowSchemaJson(schema))
    throw new PipelineError('table-changed', `the rows of ${id.table} in DuckDB have other columns, or another key, than the result.`, {
      hint: `Write the table anew: nanosync pipeline resnapshot ${id.pipeline}`,
    });
  return `${meta}.${name(physicalName({ ...id, epoch: String(current.epoch) }))}`;
}

/** The rows of the complete partitions as something to select from; undefined where there are none. */
async function sourceOf(session: Session, request: KeyedRows): Promise<{ readonly from: string } | undefined> {
  const { generation: id, schema } = request;
  const partitions: readonly StagedPartition[] = await staged(session, id);
  checkComplete(id, partitions, otherPartitions([], request.partitions));
  const [stage] = await query(session.connection, `SELECT row_schema FROM ${session.meta}.stages WHERE ${whereGeneration(id)}`);
  if (stage === undefined) return undefined;
  if (stage.row_schema !== rowSchemaJson(schema))
    throw new PipelineError('defect', `${id.table} was staged with other columns than planned.`);
  const chosen = partitions.map(({ partition, attempt }) => `(${int(partition)}, ${text(attempt)})`);
  return { from: await chosenRows(session, id, `VALUES ${chosen.join(', ')}`) };
}
