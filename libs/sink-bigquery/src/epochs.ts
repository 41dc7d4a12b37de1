import type { BusProgress, GenerationId, PartitionRuns, Position } from '@nanosync/core';
import { PipelineError, parsePosition } from '@nanosync/core';
import type { ResultRow } from './jobs.ts';
import { progressName } from './names.ts';
import { int, text } from './sql.ts';
import type { Warehouse } from './warehouse.ts';

/** What is known of an epoch: nothing, that it is built, that its rows were merged into another one, that it is gone, or left to users by who let it go. */
export type EpochState =
  | { readonly state: 'none' | 'gone' }
  | { readonly state: 'kept'; readonly rowSchema: string; readonly topicId: string; readonly reached: Position; readonly stopped: boolean }
  | {
      readonly state: 'built';
      readonly anchor: string;
      readonly rowSchema: string;
      readonly topicId: string;
      readonly rowsBuilt: number;
      readonly l0: Position;
      readonly without: PartitionRuns | undefined;
    }
  | { readonly state: 'merged'; readonly rowsBuilt: number; readonly quarantined: number; readonly rowSchema: string };

/** The row that says how far a generation is, as read: it is changed only from exactly this revision under this owner. */
export interface ProgressRow {
  readonly owner: string;
  readonly revision: number;
  readonly parts: readonly BusProgress[];
  readonly changesApplied: number;
  readonly quarantined: number;
  readonly defects: number;
}

/** SQL that selects an epoch's rows in one of our tables. */
export function whereEpoch(id: GenerationId, alias = ''): string {
  const at = alias === '' ? '' : `${alias}.`;
  return `${at}pipeline = ${text(id.pipeline)} AND ${at}tbl = ${text(id.table)} AND ${at}epoch = ${text(id.epoch)}`;
}

/** What happened to an epoch. */
export async function epochState(warehouse: Warehouse, id: GenerationId): Promise<EpochState> {
  const jobs = await warehouse.jobs();
  const rows = await jobs.query(`SELECT * FROM ${warehouse.meta('generations')} WHERE ${whereEpoch(id)}`);
  return stateOf(rows);
}

function stateOf(rows: readonly ResultRow[]): EpochState {
  if (rows.some((row) => row.event === 'gone')) return { state: 'gone' };
  const merged = rows.find((row) => row.event === 'merged');
  if (merged !== undefined)
    return {
      state: 'merged',
      rowsBuilt: Number(merged.rows_built),
      quarantined: Number(merged.quarantined),
      rowSchema: String(merged.row_schema),
    };
  const built = rows.find((row) => row.event === 'built');
  const kept = rows.find((row) => row.event === 'kept');
  const without = rows.find((row) => row.event === 'without');
  if (kept !== undefined)
    return {
      state: 'kept',
      rowSchema: String(built?.row_schema),
      topicId: String(built?.topic_id),
      reached: parsePosition(String(kept.l0 ?? built?.l0)),
      stopped: without !== undefined,
    };
  if (built === undefined) return { state: 'none' };
  return {
    state: 'built',
    anchor: String(built.anchor),
    rowSchema: String(built.row_schema),
    topicId: String(built.topic_id),
    rowsBuilt: Number(built.rows_built),
    l0: parsePosition(String(built.l0)),
    without: without === undefined ? undefined : JSON.parse(String(without.id)),
  };
}

/** A generation's progress row; undefined when it has none. */
export async function readProgress(warehouse: Warehouse, id: GenerationId): Promise<ProgressRow | undefined> {
  const jobs = await warehouse.jobs();
  const [row] = await jobs.query(`SELECT * FROM ${warehouse.table(progressName(id))}`);
  if (row === undefined) return undefined;
  return {
    owner: String(row.owner),
    revision: Number(row.revision),
    parts: partsOf(String(row.parts)),
    changesApplied: Number(row.changes_applied),
    quarantined: Number(row.quarantined),
    defects: Number(row.defects),
  };
}

/** The columns of a progress table; `parts` is JSON, so that one row is changed by one comparison. */
export const PROGRESS_COLUMNS = 'owner STRING, revision INT64, parts STRING, changes_applied INT64, quarantined INT64, defects INT64';

function partsOf(json: string): readonly BusProgress[] {
  return (JSON.parse(json) as BusProgress[]).map((part) => ({
    ...part,
    last: parsePosition(part.last),
    floor: part.floor === null ? null : parsePosition(part.floor),
  }));
}

/** The values of an epoch's three columns. */
export function of(id: GenerationId): string {
  return `${text(id.pipeline)}, ${text(id.table)}, ${text(id.epoch)}`;
}

/** The generation is not there (any more). */
export function notThere(id: GenerationId): PipelineError {
  return new PipelineError('conflict', `the generation ${id.epoch} of ${id.table} does not exist at the sink.`, {
    hint: 'It is not built yet, or was dropped by a switch.',
  });
}

/** SQL that creates the first progress row of a generation, as an `INSERT`. */
export function insertProgress(
  warehouse: Pick<Warehouse, 'table'>,
  id: GenerationId,
  parts: readonly BusProgress[],
  quarantined: string,
): string {
  const table = warehouse.table(progressName(id));
  return `INSERT INTO ${table} (owner, revision, parts, changes_applied, quarantined, defects)
SELECT '', ${int(1)}, ${text(JSON.stringify(parts))}, 0, ${quarantined}, 0`;
}

/** SQL that writes down what happened to an epoch. */
export function insertEvent(warehouse: Warehouse, id: GenerationId, event: 'gone' | 'dropped'): string {
  const { ids } = warehouse.api.options;
  return `INSERT INTO ${warehouse.meta('generations')} (pipeline, tbl, epoch, event, id) VALUES (${of(id)}, '${event}', ${text(ids.next())})`;
}

/** The statement that says that a generation is left to its users, with the position up to which it followed. */
export function insertKept(warehouse: Warehouse, id: GenerationId, reached: Position): string {
  const { ids } = warehouse.api.options;
  return `INSERT INTO ${warehouse.meta('generations')} (pipeline, tbl, epoch, event, id, l0) VALUES (${of(id)}, 'kept', ${text(ids.next())}, ${text(reached)})`;
}
