import type { GenerationId, Problem, TableId } from '@nanosync/core';
import { isBehind, PipelineError, tableSchemaOf } from '@nanosync/core';
import type { ProgressRow } from './epochs.ts';
import { epochState, insertEvent, notThere, of, readProgress, whereEpoch } from './epochs.ts';
import { GoogleError, raisedBy } from './google-error.ts';
import { hash, physicalName, progressName, viewName } from './names.ts';
import { isRemnant } from './remnant.ts';
import { isViewOfAside } from './set-aside.ts';
import { column, demand, META, moveRow, text, transaction } from './sql.ts';
import type { Warehouse } from './warehouse.ts';

/** Which generation has a name; `id` changes with each change of the row. */
interface NameRow {
  readonly name: string;
  readonly id: string;
  readonly owner: GenerationId;
}

/** The epoch that has the table's name, or undefined when none of the pipeline's has it. */
export async function currentEpoch(warehouse: Warehouse, pipeline: string, table: TableId): Promise<string | undefined> {
  const owner = (await nameRow(warehouse, table))?.owner;
  return owner?.pipeline === pipeline && owner.table === table && owner.epoch !== '' ? owner.epoch : undefined;
}

/** The generation that has the table's name, of whatever pipeline. */
export async function nameOwner(warehouse: Warehouse, table: TableId): Promise<GenerationId | undefined> {
  const owner = (await nameRow(warehouse, table))?.owner;
  return owner === undefined || owner.epoch === '' ? undefined : owner;
}

/**
 * Gives the table's name to a generation: in any case (`switch`), and then the table's other generations are gone from the same moment, or only
 * where no other one has it (`if free`). Returns the epoch that had the name before; undefined when the one that has it may not be replaced yet,
 * see {@link passed}. The view is another step: {@link showView}.
 */
export async function giveName(warehouse: Warehouse, id: GenerationId, how: 'switch' | 'if free'): Promise<string | undefined> {
  for (;;) {
    const rows = await rowsOfName(warehouse, id.table);
    const foreign = how === 'switch' ? 'set aside' : 'refused';
    requireNone(await problemOf(warehouse, rows, { pipeline: id.pipeline, table: id.table, prepared: true, foreign }));
    const row = exactly(rows, id.table) ?? (await addNameRow(warehouse, id.table));
    const { owner } = row;
    if (owner.pipeline === id.pipeline && owner.table === id.table && owner.epoch === id.epoch) return id.epoch;
    if (how === 'if free' && (await isShown(warehouse, owner))) return owner.epoch;
    const shown = how === 'switch' ? await passed(warehouse, id, owner) : undefined;
    if (shown === 'not yet') return undefined;
    try {
      await warehouse.alone(() => moveName(warehouse, id, row, { how, shown }));
      return owner.epoch;
    } catch (error) {
      const raised = raisedBy(error);
      if (raised === 'not there') throw notThere(id);
      if (raised === 'overtaken') return undefined; // What users see has moved on.
      if (raised !== 'name moved') throw error;
    }
  }
}

/** The generation that has the name, and exactly how far it was when another one had passed it. */
interface Passed {
  readonly id: GenerationId;
  readonly progress: ProgressRow;
}

/** Where a generation has read all that the one with the name has, if the same stream feeds both; undefined where there is nothing to wait for. */
async function passed(warehouse: Warehouse, id: GenerationId, shown: GenerationId): Promise<Passed | 'not yet' | undefined> {
  if (shown.pipeline !== id.pipeline || shown.table !== id.table) return undefined;
  const [theirs, ours] = [await epochState(warehouse, shown), await epochState(warehouse, id)];
  if (theirs.state !== 'built' || ours.state !== 'built') return undefined;
  if (theirs.anchor !== ours.anchor || theirs.topicId !== ours.topicId) return undefined;
  const [before, now] = [await readProgress(warehouse, shown), await readProgress(warehouse, id)];
  if (before === undefined || now === undefined) return undefined;
  return isBehind(now.parts, before.parts) ? 'not yet' : { id: shown, progress: before };
}

async function moveName(
  warehouse: Warehouse,
  id: GenerationId,
  row: NameRow,
  { how, shown }: { readonly how: 'switch' | 'if free'; readonly shown: Passed | undefined },
): Promise<void> {
  const { ids } = warehouse.api.options;
  const [names, generations] = [warehouse.meta('names'), warehouse.meta('generations')];
  const same = `name = ${text(row.name)} AND id = ${text(row.id)}`;
  const events = (event: string) => `(SELECT COUNT(*) FROM ${generations} WHERE ${whereEpoch(id)} AND event = '${event}')`;
  const jobs = await warehouse.jobs();
  await jobs.change(
    'name',
    transaction([
      demand(`(SELECT COUNT(*) FROM ${names} WHERE ${same}) = 1`, 'name moved'),
      demand(`${events('built')} > 0 AND ${events('gone')} + ${events('kept')} = 0`, 'not there'),
      // Invariant 'gate': nothing that users have seen is taken back. Its owner is gone from here on, and a batch under way meets this row.
      ...(shown === undefined ? [] : moveRow(warehouse.table(progressName(shown.id)), shown.progress, [`owner = ''`])),
      `UPDATE ${names} SET pipeline = ${text(id.pipeline)}, tbl = ${text(id.table)}, epoch = ${text(id.epoch)}, id = ${text(ids.next())} WHERE ${same}`,
      ...(how === 'if free'
        ? []
        : [
            `INSERT INTO ${generations} (pipeline, tbl, epoch, event, id)
             SELECT DISTINCT pipeline, tbl, epoch, 'gone', ${text(ids.next())} FROM ${generations}
             WHERE pipeline = ${text(id.pipeline)} AND tbl = ${text(id.table)} AND epoch != ${text(id.epoch)} AND event IN ('built', 'merged')`,
            `INSERT INTO ${generations} (pipeline, tbl, epoch, event, id)
             SELECT DISTINCT pipeline, tbl, epoch, 'gone', ${text(ids.next())} FROM ${generations} WHERE tbl = ${text(id.table)} AND event = 'kept'`,
          ]),
    ]),
  );
}

/**
 * Makes the view of a table's name show the generation that has it. It looks again after each change: of several that do so at the same time
 * the last one sees the row as it is.
 */
export async function showView(warehouse: Warehouse, table: TableId): Promise<void> {
  const jobs = await warehouse.jobs();
  const name = viewName(table);
  for (let shown: string | undefined; ; ) {
    const row = await nameRow(warehouse, table);
    if (row === undefined || row.owner.table !== table || row.id === shown) return;
    const [epoch, definition] = await Promise.all([epochState(warehouse, row.owner), warehouse.viewDefinition(name)]);
    const physical = physicalName(row.owner);
    if (epoch.state !== 'built' || definition?.includes(physical) === true) return;
    const columns = tableSchemaOf(epoch.rowSchema).columns.map((one) => column(one.name));
    const about = `Rows of ${table}, kept in step by pipeline ${row.owner.pipeline} of nanosync.`;
    try {
      await jobs.change(
        'view',
        `CREATE OR REPLACE VIEW ${warehouse.table(name)} OPTIONS (description = ${text(about)}) AS
SELECT ${columns.join(', ')} FROM ${warehouse.table(physical)}`,
      );
      shown = row.id;
    } catch (error) {
      // The generation may have been dropped meanwhile; then another one has the name, and its view is made.
      if (!(error instanceof GoogleError) || (await nameRow(warehouse, table))?.id === row.id) throw error;
    }
  }
}

/** Refuses a name that is not this pipeline's to take. */
export async function requireName(warehouse: Warehouse, pipeline: string, table: TableId, adopts = false): Promise<void> {
  requireNone(await nameProblem(warehouse, pipeline, table, { prepared: true, adopts }));
}

function requireNone(problem: Problem | undefined): void {
  if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
}

/**
 * What keeps a pipeline from having a table's name, or undefined when the name is free or its own. `prepared`: our tables are there. `adopts`: a table that
 * somebody else made is no hindrance, see {@link asideProblem} for its rows.
 */
export async function nameProblem(
  warehouse: Warehouse,
  pipeline: string,
  table: TableId,
  { prepared, adopts = false }: { readonly prepared: boolean; readonly adopts?: boolean },
): Promise<Problem | undefined> {
  return problemOf(warehouse, prepared ? await rowsOfName(warehouse, table) : [], {
    pipeline,
    table,
    prepared,
    foreign: adopts ? 'any' : 'refused',
  });
}

interface NameWish {
  readonly pipeline: string;
  readonly table: TableId;
  readonly prepared: boolean;
  /** What somebody else put there: refused; taken where it was set aside; or still to be set aside. */
  readonly foreign: 'refused' | 'set aside' | 'any';
}

async function problemOf(warehouse: Warehouse, rows: readonly NameRow[], wish: NameWish): Promise<Problem | undefined> {
  const { pipeline, table, prepared, foreign } = wish;
  const name = viewName(table);
  const { dataset } = warehouse.api.options;
  for (const { owner } of rows) {
    if (owner.epoch === '' || (owner.pipeline === pipeline && owner.table === table) || !(await isBuilt(warehouse, owner))) continue;
    return {
      what: `${dataset}.${name}, the name of ${table} in BigQuery, belongs to table ${owner.table} of pipeline ${owner.pipeline}.`,
      cure: `Give this pipeline a dataset of its own, or delete pipeline ${owner.pipeline} with its tables first.`,
    };
  }
  const known = await warehouse.describe(name);
  const ours = rows.some((row) => row.name === name && row.owner.epoch !== '');
  if (known === undefined || (ours && known.type === 'VIEW')) return undefined;
  if (foreign === 'any' && known.type === 'TABLE') return undefined;
  if (foreign !== 'refused' && known.type === 'VIEW' && prepared && (await isViewOfAside(warehouse, table))) return undefined;
  if (known.type === 'VIEW' && rows.some((row) => row.name === name) && (await isRemnant(warehouse, table))) return undefined;
  const kind = known.type === 'VIEW' ? 'view' : 'table';
  return {
    what: `${dataset}.${name}, the name of ${table} in BigQuery, is a ${kind} that nanosync did not make.`,
    cure: `Rename or drop it, or choose another dataset: DROP ${kind.toUpperCase()} ${warehouse.table(name)}.`,
  };
}

async function isBuilt(warehouse: Warehouse, id: GenerationId): Promise<boolean> {
  return id.epoch !== '' && (await epochState(warehouse, id)).state === 'built';
}

/** Users see it: its pipeline's, or left to them. */
async function isShown(warehouse: Warehouse, id: GenerationId): Promise<boolean> {
  return id.epoch !== '' && ['built', 'kept'].includes((await epochState(warehouse, id)).state);
}

/**
 * Takes the name from a generation that has it, which is gone from the same moment, and then the view. One that was put back meanwhile by who was
 * stopped long ago shows a table that is dropped then, and stays in nobody's way: see {@link isRemnant}.
 */
export async function freeName(warehouse: Warehouse, id: GenerationId): Promise<void> {
  const jobs = await warehouse.jobs();
  const { ids } = warehouse.api.options;
  const free = of({ pipeline: '', table: '' as TableId, epoch: '' }).split(', ');
  await warehouse.alone(() =>
    jobs.change(
      'free',
      transaction([
        `UPDATE ${warehouse.meta('names')} SET pipeline = ${free[0]}, tbl = ${free[1]}, epoch = ${free[2]}, id = ${text(ids.next())} WHERE ${whereEpoch(id)}`,
        insertEvent(warehouse, id, 'gone'),
      ]),
    ),
  );
  await dropRemnant(warehouse, id.table);
}

/** Drops the view of a name that no generation has, where it shows one that is gone: who freed the name died before, or somebody put it back. */
export async function dropRemnant(warehouse: Warehouse, table: TableId): Promise<void> {
  if ((await nameOwner(warehouse, table)) !== undefined || !(await isRemnant(warehouse, table))) return;
  const jobs = await warehouse.jobs();
  await jobs.change('hide', `DROP VIEW IF EXISTS ${warehouse.table(viewName(table))}`);
}

async function nameRow(warehouse: Warehouse, table: TableId): Promise<NameRow | undefined> {
  return exactly(await rowsOfName(warehouse, table), table);
}

function exactly(rows: readonly NameRow[], table: TableId): NameRow | undefined {
  return rows.find((row) => row.name === viewName(table));
}

/** The rows of a name, however it is spelt: a dataset may ignore case. */
async function rowsOfName(warehouse: Warehouse, table: TableId): Promise<readonly NameRow[]> {
  const jobs = await warehouse.jobs();
  const rows = await jobs.query(`SELECT * FROM ${warehouse.meta('names')} WHERE LOWER(name) = LOWER(${text(viewName(table))})`);
  return rows.map((row) => ({
    name: String(row.name),
    id: String(row.id),
    owner: { pipeline: String(row.pipeline), table: String(row.tbl) as TableId, epoch: String(row.epoch) },
  }));
}

/** Adds the row of a name, once: from then on it is only changed, so that two who want it meet in it. */
async function addNameRow(warehouse: Warehouse, table: TableId): Promise<NameRow> {
  const names = warehouse.meta('names');
  const name = viewName(table);
  const created = (await warehouse.describe(`${META}_names`))?.creationTime;
  const jobs = await warehouse.jobs();
  await jobs.once(
    `name_${hash(JSON.stringify([warehouse.api.options.dataset, created, name]))}`,
    `INSERT INTO ${names} (name, pipeline, tbl, epoch, id)
     SELECT ${text(name)}, ${of({ pipeline: '', table: '' as TableId, epoch: '' })}, 'free' FROM (SELECT 1)
     WHERE NOT EXISTS (SELECT 1 FROM ${names} WHERE name = ${text(name)})`,
  );
  const row = await nameRow(warehouse, table);
  if (row === undefined) throw new PipelineError('defect', `the name ${name} has no row in ${names}.`);
  return row;
}
