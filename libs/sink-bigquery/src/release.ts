import type { GenerationId, TableId } from '@nanosync/core';
import { epochState, insertEvent } from './epochs.ts';
import { dropStaging, markGone, sweep } from './generations.ts';
import { loaderName, progressName } from './names.ts';
import { text } from './sql.ts';
import { currentEpoch, freeName } from './views.ts';
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
  for (const tbl of new Set(rows.map((row) => String(row.tbl) as TableId))) await sweep(warehouse, tbl);
  if (table === null) await warehouse.drop(loaderName(pipeline));
}

async function releaseEpoch(warehouse: Warehouse, id: GenerationId, dropTables: boolean): Promise<void> {
  const { state } = await epochState(warehouse, id);
  if (state === 'gone' || (state === 'kept' && !dropTables)) return;
  const isShown = (await currentEpoch(warehouse, id.pipeline, id.table)) === id.epoch;
  if (!isShown) return warehouse.alone(() => markGone(warehouse, id));
  if (dropTables) return freeName(warehouse, id);
  const jobs = await warehouse.jobs();
  await jobs.change('keep', insertEvent(warehouse, id, 'kept'));
  await warehouse.drop(progressName(id));
  await dropStaging(warehouse, id);
}
