import type { GenerationId, LeftTable, TableId } from '@nanosync/core';
import { leastPosition, tableSchemaOf } from '@nanosync/core';
import { epochState, insertKept, readProgress } from './epochs.ts';
import { dropStaging, markGone, sweep } from './generations.ts';
import { GoogleError } from './google-error.ts';
import { loaderName, progressName } from './names.ts';
import { text } from './sql.ts';
import { currentEpoch, dropRemnant, freeName, nameOwner } from './views.ts';
import type { Warehouse } from './warehouse.ts';

/**
 * Lets go of a pipeline's table, or of all and of its loader. Each epoch is one step that changes nothing when it is repeated; the events stay as
 * reminders that the epochs are over.
 */
export async function release(
  warehouse: Warehouse,
  { pipeline, table, dropTables }: { readonly pipeline: string; readonly table: TableId | null; readonly dropTables: boolean },
): Promise<void> {
  const jobs = await warehouse.jobs();
  const where = `pipeline = ${text(pipeline)}${table === null ? '' : ` AND tbl = ${text(table)}`}`;
  const rows = await jobs.query(
    `SELECT tbl, epoch FROM ${warehouse.meta('generations')} WHERE ${where}
     UNION DISTINCT SELECT tbl, epoch FROM ${warehouse.meta('staged')} WHERE ${where}`,
  );
  for (const { tbl, epoch } of rows)
    await releaseEpoch(warehouse, { pipeline, table: String(tbl) as TableId, epoch: String(epoch) }, dropTables);
  for (const tbl of new Set(rows.map((row) => String(row.tbl) as TableId))) {
    if (dropTables) await dropRemnant(warehouse, tbl);
    await sweep(warehouse, tbl);
  }
  if (table === null) await warehouse.drop(loaderName(pipeline));
}

async function releaseEpoch(warehouse: Warehouse, id: GenerationId, dropTables: boolean): Promise<void> {
  const known = await epochState(warehouse, id);
  if (known.state === 'gone' || (known.state === 'kept' && !dropTables)) return;
  const isShown = (await currentEpoch(warehouse, id.pipeline, id.table)) === id.epoch;
  if (!isShown) return warehouse.alone(() => markGone(warehouse, id));
  if (dropTables) return freeName(warehouse, id);
  if (known.state !== 'built') return;
  const progress = await readProgress(warehouse, id).catch((error: unknown) => {
    if (error instanceof GoogleError && error.isNotFound) return undefined; // Somebody dropped it: that keeps no deletion from its end.
    throw error;
  });
  const parts = known.topicId === '' ? [] : (progress?.parts ?? []);
  const reached = leastPosition(parts.map(({ last }) => last)) ?? known.l0;
  const jobs = await warehouse.jobs();
  await jobs.change('keep', insertKept(warehouse, id, reached));
  await warehouse.drop(progressName(id));
  await dropStaging(warehouse, id);
}

/** What deleted pipelines left under these names. */
export async function left(warehouse: Warehouse, tables: readonly TableId[]): Promise<readonly LeftTable[]> {
  const found: LeftTable[] = [];
  for (const table of tables) {
    const owner = await nameOwner(warehouse, table);
    if (owner === undefined || owner.table !== table) continue;
    const state = await epochState(warehouse, owner);
    if (state.state !== 'kept') continue;
    const followedTo = state.topicId === '' ? null : state.reached;
    const told = { table, pipeline: owner.pipeline, schema: tableSchemaOf(state.rowSchema), followedTo };
    found.push(state.stopped ? { ...told, stopped: true } : told);
  }
  return found;
}
