import type { TableId } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { GoogleError, raisedBy } from './google-error.ts';
import type { Job, Jobs } from './jobs.ts';
import { requireSuccess } from './jobs.ts';
import { hash, loaderName } from './names.ts';
import { moveRow, text, transaction } from './sql.ts';
import type { End, Run } from './staged-ledger.ts';
import { LEDGER_COLUMNS, ledgerRows } from './staged-ledger.ts';
import type { Warehouse } from './warehouse.ts';
import { fieldsOf } from './warehouse.ts';

/** One load job of an intent, and what it stages. */
export interface IntendedLoad {
  readonly job: string;
  readonly table: string;
  readonly epoch: string;
  readonly staging: string;
  readonly rowSchema: string;
  readonly runs: readonly Run[];
}

/**
 * What a loader is about to do: it is written down before the first load job is inserted. Load jobs and the progress cannot be one transaction;
 * so whoever takes over finds out what became of each job before anything else.
 */
export interface Intent {
  readonly next: readonly number[];
  readonly loads: readonly IntendedLoad[];
  readonly ends: readonly { readonly table: string; readonly epoch: string; readonly ends: readonly End[] }[];
}

/** A pipeline's loader as its row says. */
export interface LoaderRow {
  readonly stream: string;
  readonly owner: string;
  readonly revision: number;
  readonly next: readonly number[];
  readonly pending: Intent | null;
}

const COLUMNS = 'stream STRING, owner STRING, revision INT64, next STRING, pending STRING';

/** The loader's row; made when there is none. */
export async function readLoader(warehouse: Warehouse, pipeline: string): Promise<LoaderRow> {
  const jobs = await warehouse.jobs();
  const table = warehouse.table(loaderName(pipeline));
  const [row] = await jobs.query(`SELECT * FROM ${table}`);
  if (row === undefined) {
    // Two rows would be two loaders: the job that adds the first one runs once in the life of the table.
    const created = (await warehouse.describe(loaderName(pipeline)))?.creationTime;
    await jobs.once(
      `loader_${hash(JSON.stringify([warehouse.api.options.dataset, created, pipeline]))}`,
      `INSERT INTO ${table} (stream, owner, revision, next, pending) SELECT '', '', 0, '[]', CAST(NULL AS STRING) FROM (SELECT 1)
       WHERE NOT EXISTS (SELECT 1 FROM ${table})`,
    );
    return readLoader(warehouse, pipeline);
  }
  return {
    stream: String(row.stream),
    owner: String(row.owner),
    revision: Number(row.revision),
    next: JSON.parse(String(row.next)) as number[],
    pending: row.pending === null || row.pending === undefined ? null : (JSON.parse(row.pending) as Intent),
  };
}

/** Makes `owner` the only loader of a pipeline's rows: settles what an earlier one left, and says where to go on. */
export async function claimRows(
  warehouse: Warehouse,
  request: { readonly pipeline: string; readonly owner: string; readonly stream: string; readonly busPartitions: number },
): Promise<LoaderRow> {
  const { pipeline, owner, stream, busPartitions } = request;
  await warehouse.create(loaderName(pipeline), fieldsOf(COLUMNS));
  for (;;) {
    const row = await readLoader(warehouse, pipeline);
    const same = row.stream === stream;
    if (same && row.next.length !== busPartitions)
      throw new PipelineError('gap', `the rows topic of pipeline ${pipeline} is not the one that was loaded so far.`, {
        hint: `Take the snapshot again: nanosync pipeline resnapshot ${pipeline}`,
      });
    try {
      const claimed = await moveLoader(warehouse, pipeline, row, { ...row, owner });
      const settled = claimed.pending === null ? claimed : await settle(warehouse, pipeline, claimed);
      if (same) return settled;
      return await moveLoader(warehouse, pipeline, settled, { ...settled, stream, next: Array.from({ length: busPartitions }, () => 0) });
    } catch (error) {
      if (!isOvertaken(error)) throw error;
    }
  }
}

/** True when the row was no longer as read. */
export function isOvertaken(error: unknown): boolean {
  return raisedBy(error) === 'overtaken';
}

/** Changes the row from exactly what was read, with more rows for the ledger in the same transaction. */
export async function moveLoader(
  warehouse: Warehouse,
  pipeline: string,
  from: LoaderRow,
  to: Omit<LoaderRow, 'revision'>,
  ledger: readonly string[] = [],
): Promise<LoaderRow> {
  const table = warehouse.table(loaderName(pipeline));
  const pending = to.pending === null ? null : JSON.stringify(to.pending);
  const jobs = await warehouse.jobs();
  await jobs.change(
    'loader',
    transaction([
      ...moveRow(table, from, [
        `stream = ${text(to.stream)}`,
        `owner = ${text(to.owner)}`,
        `next = ${text(JSON.stringify(to.next))}`,
        `pending = ${text(pending)}`,
      ]),
      ...(ledger.length === 0 ? [] : [`INSERT INTO ${warehouse.meta('staged')} (${LEDGER_COLUMNS}) VALUES ${ledger.join(', ')}`]),
    ]),
  );
  return { ...to, revision: from.revision + 1 };
}

/**
 * Ends an intent that somebody else, or we ourselves, left open: each of its jobs is brought to an outcome. What was loaded goes into
 * the ledger; the progress moves only if all of it was.
 */
export async function settle(warehouse: Warehouse, pipeline: string, row: LoaderRow): Promise<LoaderRow> {
  const { pending } = row;
  if (pending === null) return row;
  const jobs = await warehouse.jobs();
  const loaded: IntendedLoad[] = [];
  for (const load of pending.loads) if (await wasLoaded(jobs, load.job)) loaded.push(load);
  const whole = loaded.length === pending.loads.length;
  const done: Intent = whole ? pending : { next: row.next, loads: loaded, ends: [] };
  return moveLoader(warehouse, pipeline, row, { ...row, next: done.next, pending: null }, ledgerOf(pipeline, done, row.revision + 1));
}

/** What became of a load job. One that was never inserted never will be: a query takes its id. */
async function wasLoaded(jobs: Jobs, id: string): Promise<boolean> {
  const known = await jobs.get(id);
  const job: Job = known === undefined ? await jobs.settleQuery(id, 'SELECT 1') : await jobs.ended(known);
  if (job.configuration?.load === undefined) return false;
  try {
    requireSuccess(job);
    return true;
  } catch (error) {
    if (error instanceof GoogleError) return false; // A load job that fails has loaded nothing.
    throw error;
  }
}

/** The ledger rows of an intent. */
export function ledgerOf(pipeline: string, intent: Intent, step: number): string[] {
  const loads = intent.loads.flatMap(({ table, epoch, staging, job, rowSchema, runs }) =>
    ledgerRows({ pipeline, table: table as TableId, epoch }, runs, { staging, load: job, rowSchema }, [], step),
  );
  return [
    ...loads,
    ...intent.ends.flatMap(({ table, epoch, ends }) => ledgerRows({ pipeline, table: table as TableId, epoch }, [], undefined, ends, step)),
  ];
}
