import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import type { EndMarker, GenerationId, RowBatch, StagedPartition, StageRequest, TableId, TableSchema } from '@nanosync/core';
import { PipelineError, rowOrigin, rowSchemaJson } from '@nanosync/core';
import { ATTEMPT_COLUMN, checkColumns, PARTITION_COLUMN, sqlTypeOf } from './column-types.ts';
import type { Session } from './duckdb-file.ts';
import { stagingName, whereGeneration } from './names.ts';
import type { RejectedRow } from './row-appender.ts';
import { appendTo, RowAppender } from './row-appender.ts';
import { int, META, name, query, run, text } from './sql.ts';

const unzstd = promisify(zstdDecompress);
/** What {@link rowOrigin} holds. */
const CONSTANTS = [{ kind: 'int32' }, { kind: 'text' }] as const;

/** A row batch with its block as plain Avro. */
export interface OpenBatch {
  readonly batch: RowBatch;
  readonly schema: TableSchema;
  readonly rows: Uint8Array;
}

/** Decompresses the blocks of a request on the thread pool, outside any transaction. */
export async function openBatches(batches: StageRequest['batches']): Promise<readonly OpenBatch[]> {
  return Promise.all(
    batches.map(async ({ batch, schema }) => {
      if (batch.codec === 'null') return { batch, schema, rows: batch.block };
      if (batch.codec === 'zstandard') return { batch, schema, rows: await unzstd(batch.block) };
      throw new PipelineError('defect', `a row batch of ${batch.table} has the unknown codec ${batch.codec}.`);
    }),
  );
}

/** Makes `owner` the only loader of a pipeline's rows, in the current transaction, and returns where it goes on. */
export async function claimRows(
  session: Session,
  request: { readonly pipeline: string; readonly owner: string; readonly topicId: string; readonly busPartitions: number },
): Promise<readonly number[]> {
  const { connection, meta } = session;
  const where = `pipeline = ${text(request.pipeline)}`;
  const known = await query(connection, `SELECT * FROM ${meta}.rows_progress WHERE ${where} ORDER BY bus_partition`);
  if (known.length === 0 || known.some((row) => row.topic_id !== request.topicId)) {
    await run(connection, `DELETE FROM ${meta}.rows_progress WHERE ${where}`);
    const rows = Array.from(
      { length: request.busPartitions },
      (_, busPartition) => `(${text(request.pipeline)}, ${busPartition}, 0, ${text(request.owner)}, ${text(request.topicId)})`,
    );
    await run(connection, `INSERT INTO ${meta}.rows_progress VALUES ${rows.join(', ')}`);
    return rows.map(() => 0);
  }
  if (known.length !== request.busPartitions)
    throw new PipelineError('gap', `the rows topic of pipeline ${request.pipeline} is not the one that was loaded so far.`, {
      hint: `Take the snapshot again: nanosync pipeline resnapshot ${request.pipeline}`,
    });
  await run(connection, `UPDATE ${meta}.rows_progress SET owner = ${text(request.owner)} WHERE ${where}`);
  return known.map((row) => Number(row.next));
}

/** Moves the loader's progress, then stages what is not there yet: one transaction. */
export async function stage(session: Session, request: StageRequest, batches: readonly OpenBatch[]): Promise<void> {
  await moveRows(session, request);
  const epochs = new Map<string, { id: GenerationId; batches: OpenBatch[]; ends: EndMarker[] }>();
  const epochOf = (of: { readonly table: string; readonly epoch: string }) => {
    const key = `${of.table}\n${of.epoch}`;
    const known = epochs.get(key) ?? {
      id: { pipeline: request.pipeline, table: of.table as TableId, epoch: of.epoch },
      batches: [],
      ends: [],
    };
    epochs.set(key, known);
    return known;
  };
  for (const batch of batches) epochOf(batch.batch).batches.push(batch);
  for (const end of request.ends) epochOf(end).ends.push(end);
  for (const epoch of epochs.values()) {
    if (await isOver(session, epoch.id)) continue;
    await stageBatches(session, epoch.id, epoch.batches);
    for (const end of epoch.ends) await stageEnd(session, epoch.id, end);
  }
}

async function moveRows({ connection, meta }: Session, request: StageRequest): Promise<void> {
  if (request.moves.length === 0) throw new PipelineError('defect', 'rows are staged without a move of their progress.');
  const moves = request.moves.map((move) => `(${int(move.busPartition)}, ${int(move.from)}, ${int(move.to)})`);
  // Invariant 'one-owner': only the last claimed loader moves them, from where it read.
  const moved = await run(
    connection,
    `UPDATE ${meta}.rows_progress AS p SET next = m.next_to
     FROM (VALUES ${moves.join(', ')}) AS m (bus_partition, next_from, next_to)
     WHERE p.pipeline = ${text(request.pipeline)} AND p.owner = ${text(request.owner)}
       AND p.bus_partition = m.bus_partition AND p.next = m.next_from`,
  );
  if (moved !== request.moves.length)
    throw new PipelineError('conflict', `another loader has the rows of pipeline ${request.pipeline}.`, {
      hint: 'This one stops; nothing was changed.',
    });
}

/** True when the epoch is built or gone: what still arrives of it is ignored. */
async function isOver({ connection, meta }: Session, id: GenerationId): Promise<boolean> {
  // Invariant 'one-build': what still arrives of a built epoch would be rows that no change follows.
  return (await query(connection, `SELECT 1 FROM ${meta}.generations WHERE ${whereGeneration(id)}`)).length > 0;
}

async function stageBatches(session: Session, id: GenerationId, batches: readonly OpenBatch[]): Promise<void> {
  const { connection, catalog, meta } = session;
  const known = new Set(
    (
      await query(connection, `SELECT concat_ws('/', part, batch, attempt) AS id FROM ${meta}.staged_batches WHERE ${whereGeneration(id)}`)
    ).map((row) => row.id),
  );
  const fresh: OpenBatch[] = [];
  for (const batch of batches) {
    const key = `${batch.batch.partition}/${batch.batch.batch}/${batch.batch.attempt}`;
    if (!known.has(key)) fresh.push(batch);
    known.add(key);
  }
  const [first] = fresh;
  if (first === undefined) return;
  await prepareStaging(session, id, first.schema);
  const schema = rowSchemaJson(first.schema);
  if (fresh.some((batch) => batch.schema !== first.schema && rowSchemaJson(batch.schema) !== schema)) throw schemaDefect(id);
  const ledger: string[] = [];
  const types = first.schema.columns.map((column) => column.type);
  const target = { catalog, schema: META, table: stagingName(id) };
  await appendTo(new RowAppender(connection, target, types, CONSTANTS), async (appender) => {
    for (const { batch, rows } of fresh) {
      const rejected = decode(appender, batch, rows);
      ledger.push(
        `(${of(id)}, ${int(batch.partition)}, ${text(batch.attempt)}, ${int(batch.batch)}, ${int(batch.rows)}, ${rejected.length})`,
      );
      await reject(session, id, batch, first.schema, rejected);
      await setImmediate(); // Other work of this process goes on between two blocks.
    }
  });
  await run(connection, `INSERT INTO ${meta}.staged_batches VALUES ${ledger.join(', ')}`);
}

function decode(appender: RowAppender, batch: RowBatch, rows: Uint8Array): readonly RejectedRow[] {
  try {
    return appender.append(rows, batch.rows, rowOrigin(batch.partition, batch.attempt));
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new PipelineError('defect', `a row batch of ${batch.table} does not decode: ${cause.message}.`, { cause });
  }
}

async function prepareStaging(session: Session, id: GenerationId, schema: TableSchema): Promise<void> {
  const { connection, meta } = session;
  const json = rowSchemaJson(schema);
  const [known] = await query(connection, `SELECT row_schema FROM ${meta}.stages WHERE ${whereGeneration(id)}`);
  if (known !== undefined) {
    if (known.row_schema !== json) throw schemaDefect(id);
    return;
  }
  checkColumns(schema);
  const columns = schema.columns.map((column) => `${name(column.name)} ${sqlTypeOf(column.type)}`);
  const own = [`${PARTITION_COLUMN} INTEGER`, `${ATTEMPT_COLUMN} VARCHAR`];
  await run(connection, `CREATE TABLE ${meta}.${name(stagingName(id))} (${[...columns, ...own].join(', ')})`);
  await run(connection, `INSERT INTO ${meta}.stages VALUES (${of(id)}, ${text(stagingName(id))}, ${text(json)})`);
}

async function stageEnd({ connection, meta }: Session, id: GenerationId, end: EndMarker): Promise<void> {
  const attempt = `${whereGeneration(id)} AND part = ${int(end.partition)} AND attempt = ${text(end.attempt)}`;
  await run(
    connection,
    `INSERT INTO ${meta}.staged_ends
     SELECT ${of(id)}, ${int(end.partition)}, ${text(end.attempt)}, ${int(end.batches)}, ${int(end.rows)}, ${int(end.quarantined)},
       (SELECT coalesce(max(seq), 0) + 1 FROM ${meta}.staged_ends)
     WHERE NOT EXISTS (SELECT 1 FROM ${meta}.staged_ends WHERE ${attempt})`,
  );
}

/**
 * The complete partitions of an epoch. Where a zombie completed a second attempt, the one whose end marker came first counts,
 * so that the answer never changes. A built generation answers with what it was built from.
 */
export async function staged({ connection, meta }: Session, id: GenerationId): Promise<readonly StagedPartition[]> {
  // Invariant 'one-build': all that the end marker names, of one attempt.
  const rows = await query(
    connection,
    `SELECT part, attempt, row_count, quarantined FROM ${meta}.complete_partitions WHERE ${whereGeneration(id)} AND attempt <> ''
     UNION ALL SELECT part, attempt, row_count, quarantined FROM (
       SELECT e.part, e.attempt, e.row_count, e.quarantined + coalesce(b.rejected, 0) AS quarantined, e.seq
       FROM (SELECT * FROM ${meta}.staged_ends WHERE ${whereGeneration(id)}) AS e
       LEFT JOIN (
         SELECT part, attempt, count(*) AS batches, max(batch) AS last, sum(row_count) AS row_count, sum(rejected) AS rejected
         FROM ${meta}.staged_batches WHERE ${whereGeneration(id)} GROUP BY part, attempt
       ) AS b USING (part, attempt)
       WHERE coalesce(b.batches, 0) = e.batches AND coalesce(b.last, -1) = e.batches - 1 AND coalesce(b.row_count, 0) = e.row_count
       QUALIFY row_number() OVER (PARTITION BY e.part ORDER BY e.seq) = 1
     ) ORDER BY part`,
  );
  return rows.map((row) => ({
    partition: Number(row.part),
    attempt: String(row.attempt),
    rows: Number(row.row_count),
    quarantined: Number(row.quarantined),
  }));
}

/** Drops what is staged of an epoch, and its ledger. */
export async function dropStaging({ connection, meta }: Session, id: GenerationId): Promise<void> {
  await run(connection, `DROP TABLE IF EXISTS ${meta}.${name(stagingName(id))}`);
  for (const table of ['stages', 'staged_batches', 'staged_ends'])
    await run(connection, `DELETE FROM ${meta}.${table} WHERE ${whereGeneration(id)}`);
}

async function reject({ connection, meta }: Session, id: GenerationId, batch: RowBatch, schema: TableSchema, rows: readonly RejectedRow[]) {
  for (const row of rows)
    await run(
      connection,
      `INSERT INTO ${meta}.rejected_rows VALUES (${of(id)}, ${int(batch.partition)}, ${text(batch.attempt)}, ${int(batch.batch)},
       ${int(row.row)}, ${text(schema.columns[row.column]?.name ?? null)}, ${text(row.reason)},
       unhex(${text(Buffer.from(row.payload).toString('hex'))}))`,
    );
}

/** The values of a generation's three key columns. */
export function of(id: GenerationId): string {
  return `${text(id.pipeline)}, ${text(id.table)}, ${text(id.epoch)}`;
}

function schemaDefect(id: GenerationId): PipelineError {
  return new PipelineError('defect', `row batches of one epoch of ${id.table} have different columns.`);
}
