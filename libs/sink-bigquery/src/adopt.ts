import type { BusProgress, GenerationId, Problem, Sink, TableId, TableSchema } from '@nanosync/core';
import { givenUp, PipelineError, positionBelowAll, rowSchemaJson, sameSchema, tableSchemaOf } from '@nanosync/core';
import { clusteringOf, columnProblem, POSITION_COLUMN, physicalFields, primaryKeyOf } from './column-types.ts';
import { epochState, insertProgress, of, PROGRESS_COLUMNS, whereEpoch } from './epochs.ts';
import { dropPhysical, dropStaging } from './generations.ts';
import { raisedBy } from './google-error.ts';
import { hash, hashOf, physicalName, progressName, viewName } from './names.ts';
import { asideProblem, beginStatements, setAside } from './set-aside.ts';
import { column, demand, text, transaction } from './sql.ts';
import { giveName, nameOwner, requireName, showView } from './views.ts';
import type { Warehouse } from './warehouse.ts';
import { fieldsOf } from './warehouse.ts';

type AdoptRequest = Parameters<Sink['adopt']>[0];

/**
 * Begins a generation with the rows of the pipeline's last copy, with those that a deleted pipeline left, with those of a table that somebody else made,
 * or with none: one job in all, whoever asks for it and however often. Somebody else's table is set aside first and stays.
 */
export async function adopt(warehouse: Warehouse, request: AdoptRequest): Promise<{ readonly rows: number }> {
  const { generation: id, schema } = request;
  const before = await epochState(warehouse, id);
  if (before.state === 'gone') throw givenUp(id);
  if (before.state === 'none') {
    await requireName(warehouse, id.pipeline, id.table, true);
    const problem = columnProblem(schema) ?? (await adoptionProblem(warehouse, schema));
    if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
    const aside = await setAside(warehouse, id, schema);
    const ours = aside === undefined ? await unfollowed(warehouse, id) : undefined;
    await begin(warehouse, request, { aside, name: aside ?? (ours && physicalName(ours)) });
  }
  const built = await epochState(warehouse, id);
  if (built.state !== 'built') throw givenUp(id);
  await giveName(warehouse, id, 'switch');
  await showView(warehouse, id.table);
  await dropStaging(warehouse, id);
  return { rows: built.rowsBuilt };
}

interface Shown {
  readonly id: GenerationId;
  /** Of a generation that follows changes, or did: not empty. */
  readonly topicId: string;
  readonly rowSchema: string;
}

/** What users see under the name: a copy, a generation that follows, or what a deleted pipeline left. */
async function shownOf(warehouse: Warehouse, table: TableId): Promise<Shown | undefined> {
  const id = await nameOwner(warehouse, table);
  if (id === undefined) return undefined;
  const state = await epochState(warehouse, id);
  if (state.state === 'kept') return { id, topicId: '', rowSchema: state.rowSchema };
  return state.state === 'built' ? { id, topicId: state.topicId, rowSchema: state.rowSchema } : undefined;
}

/** What keeps a generation from beginning with what is under the table's name, where that name may be taken at all. */
export async function adoptionProblem(warehouse: Warehouse, schema: TableSchema, prepared = true): Promise<Problem | undefined> {
  const foreign = await asideProblem(warehouse, schema, prepared);
  if (foreign !== undefined || !prepared) return foreign;
  const shown = await shownOf(warehouse, schema.table);
  if (shown === undefined || sameSchema(tableSchemaOf(shown.rowSchema), schema)) return undefined;
  return {
    what: `${viewName(schema.table)} in BigQuery was copied with other columns or another key than ${schema.table} has now.`,
    cure: 'Copy it anew by replication_type cdc_backfill or snapshot.',
  };
}

/** The generation to begin with. One of this pipeline that followed changes has passed some that would be missing in the new one. */
async function unfollowed(warehouse: Warehouse, id: GenerationId): Promise<GenerationId | undefined> {
  const shown = await shownOf(warehouse, id.table);
  // Invariant 'no-silent-gap': what came between its last change and this generation's first is nowhere.
  if (shown !== undefined && shown.topicId !== '')
    throw new PipelineError('gap', `${id.table} at the sink followed changes before, and what came since would be missing.`, {
      hint: `Run: nanosync pipeline resnapshot ${id.pipeline}`,
    });
  return shown?.id;
}

/** The table with the rows to begin with, ours or one that was set aside. */
interface Beginning {
  readonly name: string | undefined;
  readonly aside: string | undefined;
}

async function begin(warehouse: Warehouse, request: AdoptRequest, from: Beginning): Promise<void> {
  const { generation: id, schema } = request;
  await warehouse.create(physicalName(id), physicalFields(schema), {
    description: `Rows of ${id.table}, epoch ${id.epoch} of pipeline ${id.pipeline}. Read the view of the table's name.`,
    clustering: clusteringOf(schema),
    primaryKey: primaryKeyOf(schema),
  });
  await warehouse.create(progressName(id), fieldsOf(PROGRESS_COLUMNS));
  const created = (await warehouse.describe(physicalName(id)))?.creationTime;
  const jobs = await warehouse.jobs();
  try {
    // Invariant 'one-build': the job's id is made of the epoch alone, and BigQuery runs an id once.
    await jobs.once(`adopt_${hashOf(id)}_${hash(String(created))}`, script(warehouse, request, from));
  } catch (error) {
    const raised = raisedBy(error);
    if (raised === 'built') return;
    if (raised === 'keys differ')
      throw new PipelineError('prerequisite', `${from.aside} in BigQuery has several rows of one key, or rows without one.`, {
        hint: `Correct them: rows are known by ${schema.key.join(', ')}. It is tried again.`,
        cause: error,
      });
    if (raised !== 'gone') throw error;
    await dropPhysical(warehouse, id);
    throw givenUp(id);
  }
}

function script(warehouse: Warehouse, { generation: id, ...request }: AdoptRequest, from: Beginning): string {
  const { schema, l0 } = request;
  const generations = warehouse.meta('generations');
  const events = (event: string) => `(SELECT COUNT(*) FROM ${generations} WHERE ${whereEpoch(id)} AND event = '${event}')`;
  const physical = warehouse.table(physicalName(id));
  const start = request.start.map((at, busPartition): BusProgress => ({ busPartition, ...at, last: l0, floor: null }));
  const list = schema.columns.map(({ name }) => column(name)).join(', ');
  // Invariant 'progress-in-the-sink': a row that no change of this stream wrote is below all of them.
  const rows =
    from.name === undefined
      ? []
      : [
          `INSERT INTO ${physical} (${list}, ${POSITION_COLUMN})
SELECT ${list}, ${text(positionBelowAll(l0))} FROM ${warehouse.table(from.name)}`,
        ];
  return transaction([
    demand(`${events('built')} = 0`, 'built'),
    demand(`${events('gone')} = 0`, 'gone'),
    ...(from.aside === undefined ? [] : beginStatements(warehouse, schema, from.aside)),
    ...rows,
    insertProgress(warehouse, id, start, '0'),
    `INSERT INTO ${generations}
  (pipeline, tbl, epoch, event, id, anchor, physical, row_schema, l0, topic_id, rows_built, quarantined)
SELECT ${of(id)}, 'built', '', ${text(request.anchor)}, ${text(physicalName(id))}, ${text(rowSchemaJson(schema))}, ${text(l0)},
  ${text(request.topicId)}, (SELECT COUNT(*) FROM ${physical}), 0`,
  ]);
}
