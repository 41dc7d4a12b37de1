import type { EndMarker, GenerationId, RowBatch, StagedPartition } from '@nanosync/core';
import { whereEpoch } from './epochs.ts';
import { int, text } from './sql.ts';
import type { Warehouse } from './warehouse.ts';

/** Batches first to last of one attempt at one partition, `rows` rows in all. */
export interface Run {
  readonly part: number;
  readonly attempt: string;
  readonly first: number;
  last: number;
  rows: number;
}

/** An end marker as the ledger keeps it. */
export interface End {
  readonly part: number;
  readonly attempt: string;
  readonly batches: number;
  readonly rows: number;
  readonly quarantined: number;
}

/** Where a run was loaded: the staging table, the load job and the columns it was loaded with. */
export interface RunPlace {
  readonly staging: string;
  readonly load: string;
  readonly rowSchema: string;
}

/** Which batches of an epoch are staged: runs by attempt. Its size is that of the attempts, not of the batches. */
export class StagedBatches {
  private readonly runs = new Map<string, { first: number; last: number }[]>();
  /** Load jobs that a staging table has had, those that are known of. */
  readonly loads = new Map<string, Set<string>>();

  /** What the ledger has of some epochs of a pipeline, in their order. */
  static async read(warehouse: Warehouse, pipeline: string, ids: readonly GenerationId[]): Promise<readonly StagedBatches[]> {
    const known = new Map(ids.map(({ table, epoch }) => [keyOf(table, epoch), new StagedBatches()]));
    const jobs = await warehouse.jobs();
    const rows = await jobs.query(
      `SELECT tbl, epoch, part, attempt, first_batch, last_batch, staging, load_id FROM ${warehouse.meta('staged')}
       WHERE pipeline = ${text(pipeline)} AND epoch IN (${ids.map(({ epoch }) => text(epoch)).join(', ')}) AND kind = 'rows' ORDER BY step, place`,
    );
    for (const row of rows) {
      const epoch = known.get(keyOf(String(row.tbl), String(row.epoch)));
      epoch?.add({ part: Number(row.part), attempt: String(row.attempt), first: Number(row.first_batch), last: Number(row.last_batch) });
      epoch?.noteLoad(String(row.staging), String(row.load_id));
    }
    return [...known.values()];
  }

  has({ partition, attempt, batch }: Pick<RowBatch, 'partition' | 'attempt' | 'batch'>): boolean {
    return this.runs.get(`${partition}/${attempt}`)?.some((run) => run.first <= batch && batch <= run.last) === true;
  }

  add({ part, attempt, first, last }: Pick<Run, 'part' | 'attempt' | 'first' | 'last'>): void {
    const key = `${part}/${attempt}`;
    const runs = this.runs.get(key) ?? [];
    const before = runs.find((run) => run.last === first - 1);
    if (before === undefined) runs.push({ first, last });
    else before.last = last;
    this.runs.set(key, runs);
  }

  noteLoad(staging: string, load: string): void {
    const loads = this.loads.get(staging) ?? new Set();
    loads.add(load);
    this.loads.set(staging, loads);
  }
}

/** A table's epoch as one text. */
export function keyOf(table: string, epoch: string): string {
  return `${table}\n${epoch}`;
}

/** Batches as runs, in the order in which they come. */
export function runsOf(batches: readonly Pick<RowBatch, 'partition' | 'attempt' | 'batch' | 'rows'>[]): readonly Run[] {
  const runs: Run[] = [];
  const last = new Map<string, Run>();
  for (const { partition: part, attempt, batch, rows } of batches) {
    const key = `${part}/${attempt}`;
    const run = last.get(key);
    if (run !== undefined && run.last === batch - 1) {
      run.last = batch;
      run.rows += rows;
      continue;
    }
    const begun = { part, attempt, first: batch, last: batch, rows };
    runs.push(begun);
    last.set(key, begun);
  }
  return runs;
}

/** An end marker for the ledger. */
export function endOf({ partition, attempt, batches, rows, quarantined }: EndMarker): End {
  return { part: partition, attempt, batches, rows, quarantined };
}

/** The columns of a ledger row, in order. */
export const LEDGER_COLUMNS =
  'pipeline, tbl, epoch, kind, part, attempt, first_batch, last_batch, row_count, quarantined, staging, load_id, row_schema, step, place';

/** Ledger rows as SQL values; `step` and `place` keep their order. */
export function ledgerRows(
  id: GenerationId,
  runs: readonly Run[],
  place: RunPlace | undefined,
  ends: readonly End[],
  step: number,
): string[] {
  const own = [text(id.pipeline), text(id.table), text(id.epoch)];
  const loaded = [place?.staging ?? null, place?.load ?? null, place?.rowSchema ?? null].map(text);
  const rows = runs.map((run, at) =>
    [
      ...own,
      "'rows'",
      int(run.part),
      text(run.attempt),
      int(run.first),
      int(run.last),
      int(run.rows),
      '0',
      ...loaded,
      int(step),
      int(at),
    ].join(', '),
  );
  const marks = ends.map((end, at) =>
    [
      ...own,
      "'end'",
      int(end.part),
      text(end.attempt),
      '0',
      int(end.batches),
      int(end.rows),
      int(end.quarantined),
      'NULL, NULL, NULL',
      int(step),
      int(runs.length + at),
    ].join(', '),
  );
  return [...rows, ...marks].map((row) => `(${row})`);
}

/**
 * The complete partitions of an epoch. Where a zombie completed a second attempt, the one whose end marker came first counts, so that
 * the answer never changes.
 */
export async function staged(warehouse: Warehouse, id: GenerationId): Promise<readonly StagedPartition[]> {
  // Invariant 'one-build': all that the end marker names, of one attempt.
  const jobs = await warehouse.jobs();
  const ledger = warehouse.meta('staged');
  const rows = await jobs.query(
    `SELECT part, attempt, row_count, quarantined FROM (
       SELECT e.part, e.attempt, e.row_count, e.quarantined,
         ROW_NUMBER() OVER (PARTITION BY e.part ORDER BY e.step, e.place) AS turn
       FROM (SELECT * FROM ${ledger} WHERE ${whereEpoch(id)} AND kind = 'end') AS e
       LEFT JOIN (
         SELECT part, attempt, SUM(last_batch - first_batch + 1) AS batches, MAX(last_batch) AS last, SUM(row_count) AS row_count
         FROM ${ledger} WHERE ${whereEpoch(id)} AND kind = 'rows' GROUP BY part, attempt
       ) AS b ON b.part = e.part AND b.attempt = e.attempt
       WHERE IFNULL(b.batches, 0) = e.last_batch AND IFNULL(b.last, -1) = e.last_batch - 1 AND IFNULL(b.row_count, 0) = e.row_count
     ) WHERE turn = 1 ORDER BY part`,
  );
  return rows.map((row) => ({
    partition: Number(row.part),
    attempt: String(row.attempt),
    rows: Number(row.row_count),
    quarantined: Number(row.quarantined),
  }));
}
