import type { DuckDBConnection } from '@duckdb/node-api';
import type { Applied, ApplyRequest, KeyChanges, Position, Quarantine, TableSchema } from '@nanosync/core';
import {
  aboveBases,
  checkMoves,
  comparePositions,
  fold,
  inBatchOrder,
  laterPosition,
  PipelineError,
  parsePosition,
  rowSchemaJson,
  withoutBase,
} from '@nanosync/core';
import { createBatchTable, fillUnchanged, findBases, sameKey, writeBatch } from './batch-table.ts';
import { POSITION_COLUMN } from './column-types.ts';
import type { Session } from './duckdb-file.ts';
import { notHeld } from './limits.ts';
import { physicalName, whereGeneration } from './names.ts';
import { int, name, query, run, text } from './sql.ts';

/** Applies a batch of changes: one transaction that begins with the move of the progress. */
export async function apply(session: Session, request: ApplyRequest): Promise<Applied> {
  const { connection, meta } = session;
  const { generation: id } = request;
  checkMoves(request);
  const truncated = truncations(request);
  // Invariant 'progress-in-the-sink': the first statement; it fails for a batch that was read at other offsets.
  await moveProgress(session, request, truncated);
  const [state] = await query(
    connection,
    `SELECT row_schema, floor, reached FROM ${meta}.generations, (
       SELECT max(floor_position) AS floor,
         max(CASE WHEN bus_partition IN (${request.moves.map((move) => int(move.busPartition)).join(', ')})
           THEN prior_position ELSE last_position END) AS reached
       FROM ${meta}.progress WHERE ${whereGeneration(id)})
     WHERE ${whereGeneration(id)}`,
  );
  if (state?.row_schema !== rowSchemaJson(request.schema))
    throw new PipelineError('table-changed', `changes of ${id.table} have other columns than its generation at the sink.`, {
      hint: `Take the table anew: nanosync pipeline resnapshot ${id.pipeline}`,
    });
  const target = `${meta}.${name(physicalName(id))}`;
  const floor = state.floor === null ? null : parsePosition(String(state.floor));
  if (truncated.size > 0) await run(connection, `DELETE FROM ${target} WHERE ${POSITION_COLUMN} < ${text(floor)}`);
  const folded = fold(request.schema, request.changes, floor, notHeld);
  // No row has a position above what was reached before this batch: where all of it is above, the guard need not look.
  const reached = parsePosition(String(state.reached));
  const careful = request.changes.some((change) => comparePositions(change.event.position, reached) <= 0);
  const written = await write(session, target, request.schema, folded.keys, careful);
  const defects = folded.defects + written.defects;
  const quarantined = inBatchOrder(request.changes, [...folded.quarantined, ...written.quarantined]);
  const applied = request.changes.length - quarantined.length - defects;
  await run(
    connection,
    `UPDATE ${meta}.generations SET changes_applied = changes_applied + ${int(applied)},
       quarantined = quarantined + ${int(quarantined.length)}, defects = defects + ${int(defects)} WHERE ${whereGeneration(id)}`,
  );
  return { applied, quarantined, defects };
}

/** The last truncation of each bus partition of the batch. */
function truncations(request: ApplyRequest): Map<number, Position> {
  const last = new Map<number, Position>();
  for (const { busPartition, event } of request.changes)
    if (event.op === 't') last.set(busPartition, laterPosition(last.get(busPartition), event.position));
  return last;
}

async function moveProgress({ connection, meta }: Session, request: ApplyRequest, truncated: Map<number, Position>): Promise<void> {
  const { generation: id } = request;
  const moves = request.moves.map((move) => {
    const seen = truncated.get(move.busPartition);
    const floor = move.floor === null || seen === undefined ? (move.floor ?? seen ?? null) : laterPosition(seen, move.floor);
    const values = [int(move.busPartition), int(move.from), int(move.to), int(move.session), text(move.last), `${text(floor)}::VARCHAR`];
    return `(${values.join(', ')})`;
  });
  const moved = await run(
    connection,
    `UPDATE ${meta}.progress AS p
     SET next = m.next_to, session = m.session, prior_position = p.last_position,
       last_position = greatest(p.last_position, m.last_position),
       floor_position = CASE WHEN p.floor_position > m.floor_position THEN p.floor_position ELSE coalesce(m.floor_position, p.floor_position) END
     FROM (VALUES ${moves.join(', ')}) AS m (bus_partition, next_from, next_to, session, last_position, floor_position)
     WHERE ${whereGeneration(id)} AND p.owner = ${text(request.owner)}
       AND p.bus_partition = m.bus_partition AND p.next = m.next_from`,
  );
  if (moved !== request.moves.length)
    throw new PipelineError('conflict', `another writer has ${id.table} of pipeline ${id.pipeline}.`, {
      hint: 'This one stops; nothing was changed.',
    });
}

interface Written {
  readonly quarantined: readonly Quarantine[];
  readonly defects: number;
}

/** Writes the outcomes of some keys to the physical table. */
async function write(
  { connection }: Session,
  target: string,
  schema: TableSchema,
  all: readonly KeyChanges[],
  careful: boolean,
): Promise<Written> {
  let quarantined: readonly Quarantine[] = [];
  let defects = 0;
  let keys = all;
  if (keys.length === 0) return { quarantined, defects };
  for (;;) {
    await createBatchTable(connection, schema);
    await writeBatch(connection, schema, keys);
    const bases = await findBases(connection, schema, target, keys, careful);
    const guarded = aboveBases(keys, bases);
    if (guarded === undefined) {
      await dropBaseless(connection, keys, bases);
      quarantined = withoutBase(keys, bases);
      break;
    }
    // A position that was there already: never happens in a sound stream, so the batch is simply made again without it.
    defects += guarded.defects;
    keys = guarded.keys;
  }
  await fillUnchanged(connection, schema, keys);
  const columns = schema.columns.map((column) => name(column.name)).join(', ');
  await run(connection, `DELETE FROM ${target} AS t USING temp.batch AS b WHERE ${sameKey(schema)}`);
  await run(connection, `INSERT INTO ${target} SELECT ${columns}, ${POSITION_COLUMN} FROM temp.batch WHERE _nanosync_state > 0`);
  await run(connection, 'DROP TABLE temp.batch');
  await run(connection, 'DROP TABLE IF EXISTS temp.base');
  return { quarantined, defects };
}

/** Takes what changes a row that is not there out of the batch table. */
async function dropBaseless(
  connection: DuckDBConnection,
  keys: readonly KeyChanges[],
  bases: ReadonlyMap<number, Position>,
): Promise<void> {
  const gone = keys.flatMap(({ outcome }, ordinal) =>
    !bases.has(ordinal) && outcome.needBase.length > 0 && outcome.state === 'patch' ? [ordinal] : [],
  );
  if (gone.length > 0) await run(connection, `DELETE FROM temp.batch WHERE _nanosync_ordinal IN (${gone.join(', ')})`);
}
