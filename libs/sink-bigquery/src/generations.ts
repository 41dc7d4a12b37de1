import type { GenerationId, GenerationStatus, TableId } from '@nanosync/core';
import { tableSchemaOf } from '@nanosync/core';
import { epochState, insertEvent, notThere, readProgress, whereEpoch } from './epochs.ts';
import { raisedBy } from './google-error.ts';
import { physicalName, progressName, stagingName } from './names.ts';
import { demand, text, transaction } from './sql.ts';
import { currentEpoch, giveName, showView } from './views.ts';
import type { Warehouse } from './warehouse.ts';

/** A generation's status, or undefined when it is not built. */
export async function generationStatus(warehouse: Warehouse, id: GenerationId): Promise<GenerationStatus | undefined> {
  const epoch = await epochState(warehouse, id);
  if (epoch.state === 'merged')
    return {
      ...{ rowsBuilt: epoch.rowsBuilt, quarantined: epoch.quarantined },
      current: true,
      changesApplied: 0,
      defects: 0,
      topicId: '',
      schema: tableSchemaOf(epoch.rowSchema),
      progress: [],
    };
  if (epoch.state !== 'built') return undefined;
  const [progress, current] = await Promise.all([readProgress(warehouse, id), currentEpoch(warehouse, id.pipeline, id.table)]);
  if (progress === undefined) return undefined;
  return {
    rowsBuilt: epoch.rowsBuilt,
    current: current === id.epoch,
    changesApplied: progress.changesApplied,
    quarantined: progress.quarantined,
    defects: progress.defects,
    topicId: epoch.topicId,
    schema: tableSchemaOf(epoch.rowSchema),
    progress: progress.parts,
    ...(epoch.without === undefined ? {} : { without: epoch.without }),
  };
}

/** The epochs of a table that are built, and those that are only staged. */
export async function generationsOf(warehouse: Warehouse, pipeline: string, table: TableId) {
  const jobs = await warehouse.jobs();
  const where = `pipeline = ${text(pipeline)} AND tbl = ${text(table)}`;
  const [rows, current] = await Promise.all([
    jobs.query(
      `SELECT epoch, event, anchor FROM ${warehouse.meta('generations')} WHERE ${where}
       UNION ALL SELECT DISTINCT epoch, 'staged', '' FROM ${warehouse.meta('staged')} WHERE ${where}`,
    ),
    currentEpoch(warehouse, pipeline, table),
  ]);
  const over = ['gone', 'merged', 'kept'];
  const gone = new Set(rows.filter(({ event }) => over.includes(String(event))).map((row) => row.epoch));
  const epochs = new Map<string, string>();
  for (const { epoch, event, anchor } of rows)
    if (!gone.has(epoch ?? null)) epochs.set(String(epoch), event === 'built' ? String(anchor) : (epochs.get(String(epoch)) ?? ''));
  return [...epochs]
    .map(([epoch, anchor]) => ({ epoch, anchor, current: epoch === current }))
    .sort((a, b) => rank(a) - rank(b) || (a.epoch < b.epoch ? -1 : 1));
}

function rank({ anchor, current }: { readonly anchor: string; readonly current: boolean }): number {
  return current ? 0 : anchor === '' ? 2 : 1;
}

/** Makes `owner` the generation's only writer: whatever an earlier one still has under way aborts. */
export async function claim(warehouse: Warehouse, id: GenerationId, owner: string): Promise<GenerationStatus> {
  if ((await epochState(warehouse, id)).state !== 'built') throw notThere(id);
  const jobs = await warehouse.jobs();
  // Invariant 'one-owner': from here on a batch of an earlier owner finds another row.
  const changed = await jobs.change(
    'claim',
    `UPDATE ${warehouse.table(progressName(id))} SET owner = ${text(owner)}, revision = revision + 1 WHERE TRUE`,
  );
  await giveName(warehouse, id, 'if free'); // A build that died before this step left it to us, as did a switch before its last ones.
  await showView(warehouse, id.table);
  await dropStaging(warehouse, id);
  await sweep(warehouse, id.table);
  const status = changed === 1 ? await generationStatus(warehouse, id) : undefined;
  if (status === undefined) throw notThere(id);
  return status;
}

/** Gives the table's name to a generation and drops the table's other ones. False when what users see has passed it. */
export async function switchTo(warehouse: Warehouse, id: GenerationId): Promise<boolean> {
  if ((await epochState(warehouse, id)).state !== 'built') throw notThere(id);
  const before = await giveName(warehouse, id, 'switch');
  if (before === undefined) return false;
  await showView(warehouse, id.table);
  if (before === id.epoch) return true; // What else exists is newer.
  await sweep(warehouse, id.table);
  // A view that somebody stopped long ago put back in between would now be over a table that is gone.
  await showView(warehouse, id.table);
  return true;
}

/** Gives up an epoch: its staging goes, and its physical table unless users see it. */
export async function discard(warehouse: Warehouse, id: GenerationId): Promise<void> {
  const { state } = await epochState(warehouse, id);
  if (state === 'merged') return;
  if (state !== 'gone') {
    if ((await currentEpoch(warehouse, id.pipeline, id.table)) === id.epoch) return;
    try {
      await warehouse.alone(() => markGone(warehouse, id));
    } catch (error) {
      if (raisedBy(error) === 'shown') return; // Just now.
      throw error;
    }
  }
  await sweep(warehouse, id.table);
}

/** Removes all of a table's epochs that are gone but the reminder that they were there, and notes that it is done. */
export async function sweep(warehouse: Warehouse, table: TableId): Promise<void> {
  const jobs = await warehouse.jobs();
  const rows = await jobs.query(
    `SELECT pipeline, epoch FROM ${warehouse.meta('generations')} WHERE tbl = ${text(table)}
     GROUP BY pipeline, epoch HAVING COUNTIF(event = 'gone') > 0 AND COUNTIF(event = 'dropped') = 0`,
  );
  for (const { pipeline, epoch } of rows) {
    const id: GenerationId = { pipeline: String(pipeline), table, epoch: String(epoch) };
    await dropTables(warehouse, id);
    for (const meta of ['staged', 'rejected_rows'] as const)
      await jobs.change('forget', `DELETE FROM ${warehouse.meta(meta)} WHERE ${whereEpoch(id)}`);
    await jobs.change('dropped', insertEvent(warehouse, id, 'dropped'));
  }
}

/** Writes down that an epoch is gone, unless users see it. */
export async function markGone(warehouse: Warehouse, id: GenerationId): Promise<void> {
  const jobs = await warehouse.jobs();
  const names = warehouse.meta('names');
  const mine = `pipeline = ${text(id.pipeline)} AND tbl = ${text(id.table)}`;
  await jobs.change(
    'discard',
    transaction([
      // Meets every change of the name in this row: of the two transactions one begins again.
      `UPDATE ${names} SET id = ${text(warehouse.api.options.ids.next())} WHERE ${mine}`,
      demand(`(SELECT COUNT(*) FROM ${names} WHERE ${whereEpoch(id)}) = 0`, 'shown'),
      demand(`(SELECT COUNT(*) FROM ${warehouse.meta('generations')} WHERE ${whereEpoch(id)} AND event = 'merged') = 0`, 'shown'),
      insertEvent(warehouse, id, 'gone'),
    ]),
  );
}

/** Drops all tables of an epoch. */
async function dropTables(warehouse: Warehouse, id: GenerationId): Promise<void> {
  await dropPhysical(warehouse, id);
  await dropStaging(warehouse, id);
}

/** Drops the physical table of an epoch and its progress. */
export async function dropPhysical(warehouse: Warehouse, id: GenerationId): Promise<void> {
  await Promise.all([warehouse.drop(physicalName(id)), warehouse.drop(progressName(id))]);
}

/** Drops the staging tables of an epoch: those of the ledger, and one that may have been begun. */
export async function dropStaging(warehouse: Warehouse, id: GenerationId): Promise<void> {
  const jobs = await warehouse.jobs();
  const [known] = await jobs.query(
    `SELECT COUNT(DISTINCT staging) AS n FROM ${warehouse.meta('staged')} WHERE ${whereEpoch(id)} AND kind = 'rows'`,
  );
  for (let number = 1; number <= Number(known?.n) + 1; number++) await warehouse.drop(stagingName(id, number));
}
