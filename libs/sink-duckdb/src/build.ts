import type { DuckDBConnection } from '@duckdb/node-api';
import type { GenerationId, PartitionRuns, Sink, StagedPartition } from '@nanosync/core';
import { givenUp, otherPartitions, PipelineError, rowSchemaJson } from '@nanosync/core';
import { ATTEMPT_COLUMN, checkColumns, PARTITION_COLUMN, POSITION_COLUMN, sqlTypeOf } from './column-types.ts';
import type { Session } from './duckdb-file.ts';
import { nameProblem, physicalName, showUnderName, stagingName, whereGeneration } from './names.ts';
import { int, name, query, run, text } from './sql.ts';
import { dropStaging, of, staged } from './stage.ts';

type BuildRequest = Parameters<Sink['build']>[0];

/** Builds a generation out of what is staged, once: one transaction. */
export async function build(session: Session, request: BuildRequest): Promise<{ readonly rows: number }> {
  const { connection, meta } = session;
  const { generation: id, schema } = request;
  const [known] = await query(connection, `SELECT state, rows_built FROM ${meta}.generations WHERE ${whereGeneration(id)}`);
  // Invariant 'one-build': whoever asks again gets what was built.
  if (known?.state === 'built') return { rows: Number(known.rows_built) };
  if (known !== undefined) throw givenUp(id);
  checkColumns(schema);
  const problem = await nameProblem(session, id.pipeline, id.table);
  if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
  const wanted = otherPartitions(request.without ?? [], request.partitions);
  const complete = await staged(session, id);
  // Invariant 'one-build': what the copy was stopped before is left out, also where it came after all.
  const partitions = request.without === undefined ? complete : complete.filter(({ partition }) => wanted.includes(partition));
  // Invariant 'gate': whoever asks too early is refused.
  checkComplete(id, partitions, wanted);
  await keepAttempts(session, id, partitions);
  if (request.without !== undefined) await keepWithout(session, id, request.without);
  const rows = await fillPhysical(session, request);
  await dropStaging(session, id);
  const [other] = await query(
    connection,
    `SELECT 1 FROM ${meta}.generations WHERE tbl = ${text(id.table)} AND is_current AND (pipeline = ${text(id.pipeline)} OR state = 'kept')`,
  );
  await record(session, request, { rows, partitions, current: other === undefined });
  if (other === undefined)
    await showUnderName(
      session,
      id,
      schema.columns.map((column) => column.name),
    );
  return { rows };
}

/** Refuses what is not complete. */
export function checkComplete(id: GenerationId, partitions: readonly StagedPartition[], wanted: readonly number[]): void {
  if (partitions.length === wanted.length && partitions.every(({ partition }, index) => partition === wanted[index])) return;
  throw new PipelineError(
    'defect',
    `${id.table} is to be built from ${wanted.length} partitions, and ${partitions.length} are complete that are not all of these.`,
  );
}

/** Writes down which partitions were left out: without an attempt. One that has no number says that there were none to choose from. */
export async function keepWithout({ connection, meta }: Session, id: GenerationId, without: PartitionRuns): Promise<void> {
  for (const [first, last] of without.length === 0 ? [[-1, -1] as const] : without)
    await run(
      connection,
      `INSERT INTO ${meta}.complete_partitions SELECT ${of(id)}, range::INTEGER, '', 0, 0 FROM range(${int(first)}, ${int(last + 1)})`,
    );
}

/** Writes down which attempts count. */
export async function keepAttempts({ connection, meta }: Session, id: GenerationId, partitions: readonly StagedPartition[]): Promise<void> {
  const rows = partitions.map((p) => `(${of(id)}, ${int(p.partition)}, ${text(p.attempt)}, ${int(p.rows)}, ${int(p.quarantined)})`);
  if (rows.length > 0) await run(connection, `INSERT INTO ${meta}.complete_partitions VALUES ${rows.join(', ')}`);
}

/** Creates and fills the physical table; returns its rows. */
async function fillPhysical(session: Session, request: BuildRequest): Promise<number> {
  const { connection, meta } = session;
  const { generation: id, schema, l0 } = request;
  const physical = `${meta}.${name(physicalName(id))}`;
  const columns = schema.columns.map((column) => `${name(column.name)} ${sqlTypeOf(column.type)}`);
  const [stage] = await query(connection, `SELECT row_schema FROM ${meta}.stages WHERE ${whereGeneration(id)}`);
  if (stage === undefined) {
    await run(connection, `CREATE TABLE ${physical} (${[...columns, `${POSITION_COLUMN} VARCHAR`].join(', ')})`);
    return 0;
  }
  if (stage.row_schema !== rowSchemaJson(schema))
    throw new PipelineError('defect', `${id.table} was staged with other columns than planned.`);
  const source = await chosenRows(session, id);
  const list = schema.columns.map((column) => name(column.name)).join(', ');
  const select = (from: string) => `SELECT ${list}, ${text(l0)} AS ${POSITION_COLUMN} FROM ${from}`;
  if (schema.key.length === 0) {
    await run(connection, `CREATE TABLE ${physical} AS ${select(source)}`);
    return countOf(connection, physical);
  }
  const key = schema.key.map(name).join(', ');
  // Only the key columns are aggregated: rows that moved between two reads are few, and whole rows would not fit into memory.
  await run(connection, `CREATE OR REPLACE TEMP TABLE doubled AS SELECT ${key} FROM ${source} GROUP BY ${key} HAVING count(*) > 1`);
  const [doubled] = await query(connection, 'SELECT count(*) AS keys FROM temp.doubled');
  const all =
    Number(doubled?.keys) === 0
      ? select(source)
      : `${select(`${source} ANTI JOIN temp.doubled USING (${key})`)} UNION ALL ${select(
          `(SELECT * FROM ${source} SEMI JOIN temp.doubled USING (${key}) QUALIFY row_number() OVER (PARTITION BY ${key}) = 1)`,
        )}`;
  await run(connection, `CREATE TABLE ${physical} AS ${all}`);
  await run(connection, 'DROP TABLE temp.doubled');
  return countOf(connection, physical);
}

async function countOf(connection: DuckDBConnection, table: string): Promise<number> {
  return Number((await query(connection, `SELECT count(*) AS n FROM ${table}`))[0]?.n);
}

/** The staged rows of the chosen attempts as something to select from; checks that they are as many as the ledger says. */
export async function chosenRows(
  { connection, meta }: Session,
  id: GenerationId,
  chosen = `SELECT part, attempt FROM ${meta}.complete_partitions WHERE ${whereGeneration(id)} AND attempt <> ''`,
): Promise<string> {
  const stage = `${meta}.${name(stagingName(id))}`;
  const [ledger] = await query(
    connection,
    `SELECT (SELECT count(*) FROM ${stage}) AS present,
       coalesce(sum(row_count - rejected), 0)::BIGINT AS staged,
       coalesce(sum(row_count - rejected) FILTER (WHERE (part, attempt) IN (${chosen})), 0)::BIGINT AS wanted
     FROM ${meta}.staged_batches WHERE ${whereGeneration(id)}`,
  );
  if (ledger?.present !== ledger?.staged)
    throw new PipelineError('defect', `the staging table of ${id.table} has ${ledger?.present} rows and its ledger ${ledger?.staged}.`);
  if (ledger?.wanted === ledger?.staged) return stage;
  return `(SELECT * FROM ${stage} WHERE (${PARTITION_COLUMN}, ${ATTEMPT_COLUMN}) IN (${chosen}))`;
}

/** Stores that a generation exists, and where it begins to apply changes. */
export async function record(
  { connection, meta }: Session,
  request: Omit<BuildRequest, 'partitions'>,
  { rows, partitions, current }: { readonly rows: number; readonly partitions: readonly StagedPartition[]; readonly current: boolean },
): Promise<void> {
  const { generation: id, schema } = request;
  const quarantined = partitions.reduce((sum, partition) => sum + partition.quarantined, 0);
  await run(
    connection,
    `INSERT INTO ${meta}.generations VALUES (${of(id)}, 'built', ${text(request.anchor)}, ${text(physicalName(id))},
     ${text(rowSchemaJson(schema))}, ${text(request.l0)}, ${int(rows)}, ${text(request.topicId)}, ${current}, 0, ${int(quarantined)}, 0)`,
  );
  const progress = request.start.map(
    (start, busPartition) =>
      `(${of(id)}, ${busPartition}, ${int(start.next)}, '', ${int(start.session)}, ${text(request.l0)}, ${text(request.l0)}, NULL)`,
  );
  if (progress.length > 0) await run(connection, `INSERT INTO ${meta}.progress VALUES ${progress.join(', ')}`);
}
