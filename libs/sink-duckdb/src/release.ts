import type { GenerationId, LeftTable, Position, TableId } from '@nanosync/core';
import { leastPosition, parsePosition, tableSchemaOf } from '@nanosync/core';
import { keepWithout } from './build.ts';
import type { Session } from './duckdb-file.ts';
import { drop, forget, generationStatus } from './generations.ts';
import { hideName, whereGeneration } from './names.ts';
import { query, run, text } from './sql.ts';
import { of } from './stage.ts';

/** Lets go of a pipeline's table, or of all and of its loader: one transaction. The rows of its epochs stay as reminders that they are over. */
export async function release(
  session: Session,
  { pipeline, table, dropTables }: { readonly pipeline: string; readonly table: TableId | null; readonly dropTables: boolean },
): Promise<void> {
  const { connection, meta } = session;
  const where = `pipeline = ${text(pipeline)}${table === null ? '' : ` AND tbl = ${text(table)}`}`;
  const epochs = await query(
    connection,
    `SELECT tbl, epoch FROM ${meta}.generations WHERE ${where} UNION SELECT tbl, epoch FROM ${meta}.stages WHERE ${where}
     UNION SELECT tbl, epoch FROM ${meta}.staged_ends WHERE ${where}`,
  );
  for (const { tbl, epoch } of epochs)
    await releaseEpoch(session, { pipeline, table: String(tbl) as TableId, epoch: String(epoch) }, dropTables);
  if (table === null) await run(connection, `DELETE FROM ${meta}.rows_progress WHERE pipeline = ${text(pipeline)}`);
}

async function releaseEpoch(session: Session, id: GenerationId, dropTables: boolean): Promise<void> {
  const { connection, meta } = session;
  const [row] = await query(connection, `SELECT state, is_current FROM ${meta}.generations WHERE ${whereGeneration(id)}`);
  const isShown = row?.is_current === true;
  if (isShown && !dropTables) {
    if (row.state === 'kept') return;
    const { progress = [], without } = (await generationStatus(session, id)) ?? {};
    const last = leastPosition(progress.map((part) => part.last));
    const reached = last === undefined ? '' : `, l0 = ${text(last)}`;
    await run(connection, `UPDATE ${meta}.generations SET state = 'kept'${reached} WHERE ${whereGeneration(id)} AND state = 'built'`);
    await forget(session, id);
    if (without !== undefined) await keepWithout(session, id, without);
    return;
  }
  if (row === undefined)
    await run(connection, `INSERT INTO ${meta}.generations VALUES (${of(id)}, 'gone', '', '', '', '', 0, '', false, 0, 0, 0)`);
  if (isShown) await hideName(session, id);
  await drop(session, id);
}

/** What deleted pipelines left under these names. The position up to which it followed stands where that of its copy was. */
export async function left({ connection, meta }: Session, tables: readonly TableId[]): Promise<readonly LeftTable[]> {
  if (tables.length === 0) return [];
  const rows = await query(
    connection,
    `SELECT tbl, pipeline, row_schema, l0, topic_id,
       (pipeline, tbl, epoch) IN (SELECT (pipeline, tbl, epoch) FROM ${meta}.complete_partitions WHERE attempt = '') AS stopped
     FROM ${meta}.generations WHERE state = 'kept' AND is_current AND tbl IN (${tables.map(text).join(', ')}) ORDER BY tbl`,
  );
  return rows.map((row) => ({
    table: String(row.tbl) as TableId,
    pipeline: String(row.pipeline),
    schema: tableSchemaOf(String(row.row_schema)),
    followedTo: row.topic_id === '' ? null : (parsePosition(String(row.l0)) as Position),
    ...(row.stopped === true ? { stopped: true as const } : {}),
  }));
}
