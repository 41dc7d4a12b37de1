import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import type {
  Applied,
  ApplyRequest,
  BusProgress,
  Cell,
  ChangeCodec,
  EndMarker,
  GenerationId,
  LeftTable,
  PartitionRuns,
  Position,
  Row,
  RowBatch,
  SinkChange,
  StagedPartition,
  StageRequest,
  TableSchema,
} from '@nanosync/core';
import {
  AvroReader,
  comparePositions,
  isComplete,
  laterPosition,
  leastPosition,
  PipelineError,
  readCell,
  readRowOrigin,
  UNCHANGED,
} from '@nanosync/core';
import type { Merged } from './memory-merge.ts';
import { mergedStatus } from './memory-merge.ts';

const unzstd = promisify(zstdDecompress);

/** A row of a physical table. */
export interface StoredRow {
  readonly cells: Row;
  readonly position: Position;
}

/** All that is kept of an epoch: what is staged, and the generation once it is built. */
export interface Epoch {
  readonly id: GenerationId;
  readonly batches: Map<string, { readonly batch: RowBatch; readonly schema: TableSchema; readonly rows: readonly Row[] }>;
  readonly ends: Map<string, EndMarker>;
  complete: readonly StagedPartition[] | undefined;
  generation: Generation | undefined;
  /** Its rows were written over those of another generation. */
  merged: Merged | undefined;
  /** What users see of it still, although no pipeline has it any more. */
  kept?: Generation | undefined;
  gone: boolean;
}

/** What a deleted pipeline left. */
export function leftOf({ id, kept }: Epoch): LeftTable {
  if (kept === undefined) throw new PipelineError('defect', `${id.table} was not left.`);
  const followedTo = kept.topicId === '' ? null : (leastPosition(kept.progress.map(({ last }) => last)) ?? null);
  const told = { table: id.table, pipeline: id.pipeline, schema: kept.schema, followedTo };
  return kept.without === undefined ? told : { ...told, stopped: true };
}

/** A built generation with its rows by canonical key. */
export interface Generation {
  readonly anchor: string;
  readonly schema: TableSchema;
  readonly codec: ChangeCodec;
  readonly topicId: string;
  readonly rowsBuilt: number;
  readonly rows: Map<string, StoredRow>;
  readonly without?: PartitionRuns | undefined;
  current: boolean;
  owner: string;
  changesApplied: number;
  quarantined: number;
  defects: number;
  progress: BusProgress[];
}

/** A row batch with its rows. */
export interface Decoded {
  readonly batch: RowBatch;
  readonly schema: TableSchema;
  readonly rows: readonly Row[];
}

/** Reads the rows of a batch. */
export async function decode({ batch, schema }: StageRequest['batches'][number]): Promise<Decoded> {
  const reader = new AvroReader(batch.codec === 'zstandard' ? await unzstd(batch.block) : batch.block);
  const rows: Cell[][] = [];
  for (let row = 0; row < batch.rows; row++) {
    const origin = readRowOrigin(reader);
    if (origin.partition !== batch.partition || origin.attempt !== batch.attempt)
      throw new PipelineError('defect', `a row batch of ${batch.table} holds a row of another read.`);
    rows.push(schema.columns.map((column) => readCell(reader, column.type)));
  }
  if (!reader.done) throw new PipelineError('defect', `a row batch of ${batch.table} does not decode.`);
  return { batch, schema, rows };
}

/** True when the epoch is built or gone: what still arrives of it is ignored. */
export function isOver(epoch: Epoch): boolean {
  return epoch.gone || epoch.generation !== undefined || epoch.merged !== undefined;
}

/** Removes all of an epoch but the reminder that it was there. */
export function remove(epoch: Epoch): void {
  epoch.gone = true;
  epoch.generation = undefined;
  epoch.merged = undefined;
  epoch.kept = undefined;
  epoch.complete = undefined;
  epoch.batches.clear();
  epoch.ends.clear();
}

/** The status of an epoch's generation, or undefined when it is not built. */
export function statusOf({ generation, merged }: Epoch) {
  if (merged !== undefined) return mergedStatus(merged);
  if (generation === undefined) return undefined;
  const { rowsBuilt, current, changesApplied, quarantined, defects, topicId, schema, progress, without } = generation;
  const known = { rowsBuilt, current, changesApplied, quarantined, defects, topicId, schema, progress: [...progress] };
  return without === undefined ? known : { ...known, without };
}

/** Moves the progress of a generation; the caller has checked that it stands where the moves begin. */
export function moveProgress(generation: Generation, request: ApplyRequest): void {
  for (const move of request.moves) {
    const before = generation.progress[move.busPartition] as BusProgress;
    const truncations = request.changes.filter((change) => change.event.op === 't' && change.busPartition === move.busPartition);
    const floor = [before.floor, move.floor, ...truncations.map((change) => change.event.position)].reduce(
      (highest, one) => (one === null ? highest : laterPosition(highest ?? undefined, one)),
      null,
    );
    const last = laterPosition(before.last, move.last);
    generation.progress[move.busPartition] = { busPartition: move.busPartition, next: move.to, session: move.session, last, floor };
  }
}

/** One change after the other, as the contract says it; truncations first, because they void what is below them anyway. */
export function applyChanges(generation: Generation, changes: readonly SinkChange[]): Applied {
  const { rows } = generation;
  const floor = generation.progress.reduce<Position | undefined>(
    (highest, part) => (part.floor === null ? highest : laterPosition(highest, part.floor)),
    undefined,
  );
  const isBelow = (position: Position) => floor !== undefined && comparePositions(position, floor) < 0;
  if (changes.some((change) => change.event.op === 't')) for (const [key, row] of rows) if (isBelow(row.position)) rows.delete(key);
  const quarantined: { change: SinkChange; reason: string }[] = [];
  let defects = 0;
  for (const change of changes) {
    const { event } = change;
    if (event.op === 't' || isBelow(event.position)) continue;
    const image = event.op === 'd' ? event.before : event.after;
    if (image === null) {
      quarantined.push({ change, reason: 'the change has no row' });
      continue;
    }
    const key = change.key.toString('latin1');
    const base = rows.get(key);
    if (base !== undefined && comparePositions(base.position, event.position) >= 0) defects++;
    else if (event.op === 'd') rows.delete(key);
    else if (base === undefined && event.rowless) continue;
    else if (base === undefined && !isComplete(image)) quarantined.push({ change, reason: 'there is no row to take cells from' });
    else
      rows.set(key, {
        cells: image.map((cell, index) => (cell === UNCHANGED ? (base?.cells[index] as Cell) : cell)),
        position: event.position,
      });
  }
  return { applied: changes.length - quarantined.length - defects, quarantined, defects };
}
