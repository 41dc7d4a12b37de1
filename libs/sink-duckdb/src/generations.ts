import type { GenerationId, GenerationStatus, Position, TableId } from '@nanosync/core';
import { isBehind, PipelineError, parsePosition, partitionRuns, tableSchemaOf } from '@nanosync/core';
import type { Session } from './duckdb-file.ts';
import { physicalName, showUnderName, whereGeneration } from './names.ts';
import { name, query, run, text } from './sql.ts';
import { dropStaging, of } from './stage.ts';

/** A generation's status, or undefined when it is not built. */
export async function generationStatus({ connection, meta }: Session, id: GenerationId): Promise<GenerationStatus | undefined> {
  const [row] = await query(connection, `SELECT * FROM ${meta}.generations WHERE ${whereGeneration(id)} AND state IN ('built', 'merged')`);
  if (row === undefined) return undefined;
  const progress = await query(connection, `SELECT * FROM ${meta}.progress WHERE ${whereGeneration(id)} ORDER BY bus_partition`);
  const left = await query(
    connection,
    `SELECT part FROM ${meta}.complete_partitions WHERE ${whereGeneration(id)} AND attempt = '' ORDER BY part`,
  );
  const without = partitionRuns(left.map(({ part }) => Number(part)).filter((part) => part >= 0));
  return {
    ...(left.length === 0 ? {} : { without }),
    rowsBuilt: Number(row.rows_built),
    current: row.is_current === true || row.state === 'merged',
    changesApplied: Number(row.changes_applied),
    quarantined: Number(row.quarantined),
    defects: Number(row.defects),
    topicId: String(row.topic_id),
    schema: tableSchemaOf(String(row.row_schema)),
    progress: progress.map((part) => ({
      busPartition: Number(part.bus_partition),
      next: Number(part.next),
      session: Number(part.session),
      last: parsePosition(String(part.last_position)),
      floor: part.floor_position === null ? null : (parsePosition(String(part.floor_position)) as Position),
    })),
  };
}

/** The epochs of a table that are built, and those that are only staged. */
export async function generationsOf(session: Session, pipeline: string, table: TableId) {
  const staged = await query(
    session.connection,
    `SELECT DISTINCT epoch FROM ${session.meta}.stages WHERE pipeline = ${text(pipeline)} AND tbl = ${text(table)} ORDER BY epoch`,
  );
  const built = await builtOf(session, pipeline, table);
  const only = staged.map((row) => String(row.epoch)).filter((epoch) => built.every((one) => one.epoch !== epoch));
  return [...built, ...only.map((epoch) => ({ epoch, anchor: '', current: false }))];
}

async function builtOf({ connection, meta }: Session, pipeline: string, table: TableId) {
  const rows = await query(
    connection,
    `SELECT epoch, anchor, is_current FROM ${meta}.generations
     WHERE pipeline = ${text(pipeline)} AND tbl = ${text(table)} AND state = 'built' ORDER BY is_current DESC, epoch`,
  );
  return rows.map((row) => ({ epoch: String(row.epoch), anchor: String(row.anchor), current: row.is_current === true }));
}

/** Makes `owner` the generation's only writer. */
export async function claim(session: Session, id: GenerationId, owner: string): Promise<GenerationStatus> {
  const status = await generationStatus(session, id);
  if (status === undefined)
    throw new PipelineError('conflict', `the generation ${id.epoch} of ${id.table} does not exist at the sink.`, {
      hint: 'It is not built yet, or was dropped by a switch.',
    });
  // Invariant 'one-owner': from here on a batch of an earlier owner matches no row.
  await run(session.connection, `UPDATE ${session.meta}.progress SET owner = ${text(owner)} WHERE ${whereGeneration(id)}`);
  return status;
}

/** Gives the table's name to a generation and drops the table's other ones: one transaction. False when what users see has passed it. */
export async function switchTo(session: Session, id: GenerationId): Promise<boolean> {
  const { connection, meta } = session;
  const [row] = await query(
    connection,
    `SELECT row_schema, is_current, anchor FROM ${meta}.generations WHERE ${whereGeneration(id)} AND state = 'built'`,
  );
  if (row === undefined) throw new PipelineError('conflict', `the generation ${id.epoch} of ${id.table} does not exist at the sink.`);
  const others = (await builtOf(session, id.pipeline, id.table)).filter((other) => other.epoch !== id.epoch);
  const shown = others.find((other) => other.current && other.anchor === row.anchor);
  // Invariant 'gate': nothing that users have seen is taken back.
  if (shown !== undefined && (await hasPassed(session, { ...id, epoch: shown.epoch }, id))) return false;
  const columns = tableSchemaOf(String(row.row_schema)).columns.map((column) => column.name);
  await showUnderName(session, id, columns);
  if (row.is_current === true) return true; // What else exists is newer.
  await run(connection, `UPDATE ${meta}.generations SET is_current = true WHERE ${whereGeneration(id)}`);
  await forgetMerged(session, id);
  for (const other of others) await drop(session, { ...id, epoch: other.epoch });
  const kept = await query(connection, `SELECT pipeline, epoch FROM ${meta}.generations WHERE tbl = ${text(id.table)} AND state = 'kept'`);
  for (const { pipeline, epoch } of kept) await drop(session, { ...id, pipeline: String(pipeline), epoch: String(epoch) });
  return true;
}

/** True when a generation has read on where the other one has still to, in the same topic. */
async function hasPassed(session: Session, id: GenerationId, other: GenerationId): Promise<boolean> {
  const [theirs, ours] = [await generationStatus(session, id), await generationStatus(session, other)];
  return theirs !== undefined && ours !== undefined && theirs.topicId === ours.topicId && isBehind(ours.progress, theirs.progress);
}

/** Gives up an epoch: its staging goes, and its physical table unless users see it. */
export async function discard(session: Session, id: GenerationId): Promise<void> {
  const { connection, meta } = session;
  const [row] = await query(connection, `SELECT state, is_current FROM ${meta}.generations WHERE ${whereGeneration(id)}`);
  if (row?.is_current === true || row?.state === 'gone' || row?.state === 'merged') return;
  if (row === undefined)
    await run(connection, `INSERT INTO ${meta}.generations VALUES (${of(id)}, 'gone', '', '', '', '', 0, '', false, 0, 0, 0)`);
  await drop(session, id);
}

/** Of epochs that were merged only the last is one that users see. */
export async function forgetMerged(session: Session, { pipeline, table }: GenerationId): Promise<void> {
  const merged = await query(
    session.connection,
    `SELECT epoch FROM ${session.meta}.generations WHERE pipeline = ${text(pipeline)} AND tbl = ${text(table)} AND state = 'merged'`,
  );
  for (const { epoch } of merged) await drop(session, { pipeline, table, epoch: String(epoch) });
}

/** Removes all of an epoch but the reminder that it was there. */
export async function drop(session: Session, id: GenerationId): Promise<void> {
  const { connection, meta } = session;
  await run(connection, `DROP TABLE IF EXISTS ${meta}.${name(physicalName(id))}`);
  await run(connection, `UPDATE ${meta}.generations SET state = 'gone', is_current = false WHERE ${whereGeneration(id)}`);
  await forget(session, id);
}

/** Removes what is known of an epoch's progress and staging. */
export async function forget(session: Session, id: GenerationId): Promise<void> {
  const { connection, meta } = session;
  for (const table of ['progress', 'complete_partitions', 'rejected_rows'])
    await run(connection, `DELETE FROM ${meta}.${table} WHERE ${whereGeneration(id)}`);
  await dropStaging(session, id);
}
