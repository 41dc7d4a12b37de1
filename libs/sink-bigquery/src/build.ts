import type { BusProgress, GenerationId, PartitionRuns, Sink, StagedPartition, TableSchema } from '@nanosync/core';
import { givenUp, hasPartition, otherPartitions, PipelineError, rowSchemaJson } from '@nanosync/core';
import { isRefused, valueSql } from './cell-sql.ts';
import type { Field } from './column-types.ts';
import {
  ATTEMPT_COLUMN,
  clusteringOf,
  columnProblem,
  keyColumns,
  PARTITION_COLUMN,
  POSITION_COLUMN,
  physicalFields,
  primaryKeyOf,
  stagingColumn,
  stagingFields,
} from './column-types.ts';
import { epochState, insertProgress, of, PROGRESS_COLUMNS, whereEpoch } from './epochs.ts';
import { dropPhysical, dropStaging } from './generations.ts';
import { raisedBy } from './google-error.ts';
import { hash, hashOf, physicalName, progressName } from './names.ts';
import { column, demand, int, text, transaction } from './sql.ts';
import { staged } from './staged-ledger.ts';
import { giveName, requireName, showView } from './views.ts';
import type { Warehouse } from './warehouse.ts';
import { fieldsOf } from './warehouse.ts';

type BuildRequest = Parameters<Sink['build']>[0];

/** Builds a generation out of what is staged: one job in all, whoever asks for it and however often. */
export async function build(warehouse: Warehouse, request: BuildRequest): Promise<{ readonly rows: number }> {
  const { generation: id, schema } = request;
  const before = await epochState(warehouse, id);
  if (before.state === 'gone') throw givenUp(id);
  if (before.state === 'none') {
    const problem = columnProblem(schema);
    if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
    await requireName(warehouse, id.pipeline, id.table);
    const wanted = otherPartitions(request.without ?? [], request.partitions);
    const complete = await staged(warehouse, id);
    // Invariant 'one-build': what the copy was stopped before is left out, also where it came after all.
    const partitions = request.without === undefined ? complete : complete.filter(({ partition }) => wanted.includes(partition));
    // Invariant 'gate': whoever asks too early is refused.
    checkComplete(id, partitions, wanted);
    await fill(warehouse, request, partitions);
  }
  const built = await epochState(warehouse, id);
  if (built.state !== 'built') throw givenUp(id);
  await giveName(warehouse, id, 'if free');
  await showView(warehouse, id.table);
  await dropStaging(warehouse, id);
  return { rows: built.rowsBuilt };
}

/** Refuses what is not complete. */
export function checkComplete(id: GenerationId, partitions: readonly StagedPartition[], wanted: readonly number[]): void {
  if (partitions.length === wanted.length && partitions.every(({ partition }, index) => partition === wanted[index])) return;
  throw new PipelineError(
    'defect',
    `${id.table} is to be built from ${wanted.length} partitions, and ${partitions.length} are complete that are not all of these.`,
  );
}

/** Creates the fresh physical table, with key and clustering, and runs the one job that fills it. */
async function fill(warehouse: Warehouse, request: BuildRequest, partitions: readonly StagedPartition[]): Promise<void> {
  const { generation: id, schema } = request;
  await warehouse.create(physicalName(id), physicalFields(schema), {
    description: `Rows of ${id.table}, epoch ${id.epoch} of pipeline ${id.pipeline}. Read the view of the table's name.`,
    clustering: clusteringOf(schema),
    primaryKey: primaryKeyOf(schema),
  });
  await warehouse.create(progressName(id), fieldsOf(PROGRESS_COLUMNS));
  // A warehouse that was lost is built again from the bus, under the same epoch: the life of the fresh table tells the two builds apart.
  const created = (await warehouse.describe(physicalName(id)))?.creationTime;
  const source = partitions.length === 0 ? NOTHING : await sourceOf(warehouse, id, schema, partitions, request.without);
  const jobs = await warehouse.jobs();
  try {
    // Invariant 'one-build': the job's id is made of the epoch alone, and BigQuery runs an id once.
    await jobs.once(`build_${hashOf(id)}_${hash(String(created))}`, buildScript(warehouse, request, partitions, source));
  } catch (error) {
    const raised = raisedBy(error);
    if (raised === 'built') return;
    if (raised === 'gone') {
      await dropPhysical(warehouse, id);
      throw givenUp(id);
    }
    if (raised === 'rows differ')
      throw new PipelineError('defect', `the staging tables of ${id.table} have not the rows that their ledger says.`, { cause: error });
    throw error;
  }
}

/** The staging tables of an epoch, and the attempts in them that do not count. */
export interface Source {
  readonly tables: readonly string[];
  readonly others: readonly { readonly part: number; readonly attempt: string }[];
  /** Partitions that do not count, whatever is still loaded of them. */
  readonly without?: PartitionRuns | undefined;
}

const NOTHING: Source = { tables: [], others: [] };

/** Where the rows of the complete partitions are staged. */
export async function sourceOf(
  warehouse: Warehouse,
  id: GenerationId,
  schema: TableSchema,
  partitions: readonly StagedPartition[],
  without?: PartitionRuns,
): Promise<Source> {
  const jobs = await warehouse.jobs();
  const rows = await jobs.query(
    `SELECT DISTINCT staging, part, attempt, row_schema FROM ${warehouse.meta('staged')} WHERE ${whereEpoch(id)} AND kind = 'rows'`,
  );
  const wanted = hash(rowSchemaJson(schema));
  if (rows.some((row) => row.row_schema !== wanted))
    throw new PipelineError('defect', `${id.table} was staged with other columns than planned.`);
  const chosen = new Set(partitions.map(({ partition, attempt }) => `${partition}/${attempt}`));
  const others = new Map(rows.map((row) => [`${row.part}/${row.attempt}`, { part: Number(row.part), attempt: String(row.attempt) }]));
  for (const key of chosen) others.delete(key);
  const isLeft = ({ part }: { readonly part: number }) => without === undefined || !hasPartition(without, part);
  return { tables: [...new Set(rows.map((row) => String(row.staging)))].sort(), others: [...others.values()].filter(isLeft), without };
}

/** The build as one transaction. Where BigQuery would not know the job's id again, its first line keeps a second run from doing anything. */
export function buildScript(
  warehouse: Pick<Warehouse, 'table' | 'meta'>,
  request: BuildRequest,
  partitions: readonly StagedPartition[],
  source: Source,
): string {
  const { generation: id, schema, l0 } = request;
  const events = (event: string) =>
    `(SELECT COUNT(*) FROM ${warehouse.meta('generations')} WHERE ${whereEpoch(id)} AND event = '${event}')`;
  const rejected = countRejected(warehouse, id);
  const rows = partitions.reduce((sum, partition) => sum + partition.rows, 0);
  const unread = partitions.reduce((sum, partition) => sum + partition.quarantined, 0);
  const physical = warehouse.table(physicalName(id));
  const start = request.start.map((at, busPartition): BusProgress => ({ busPartition, ...at, last: l0, floor: null }));
  const from = source.tables.length === 0 ? undefined : stagedRows(warehouse, schema, source);
  return transaction([
    demand(`${events('built')} = 0`, 'built'),
    demand(`${events('gone')} = 0`, 'gone'),
    ...(from === undefined
      ? []
      : [
          demand(`(SELECT COUNT(*) FROM ${from}) = ${int(rows)}`, 'rows differ'),
          rejectedRows(warehouse.meta('rejected_rows'), id, schema, from),
          physicalRows(physical, request, from),
        ]),
    insertProgress(warehouse, id, start, `${int(unread)} + ${rejected}`),
    `INSERT INTO ${warehouse.meta('generations')}
  (pipeline, tbl, epoch, event, id, anchor, physical, row_schema, l0, topic_id, rows_built, quarantined)
SELECT ${of(id)}, 'built', '', ${text(request.anchor)}, ${text(physicalName(id))}, ${text(rowSchemaJson(schema))}, ${text(l0)},
  ${text(request.topicId)}, (SELECT COUNT(*) FROM ${physical}), ${int(unread)} + ${rejected}`,
    ...(request.without === undefined
      ? []
      : [
          `INSERT INTO ${warehouse.meta('generations')} (pipeline, tbl, epoch, event, id)
SELECT ${of(id)}, 'without', ${text(JSON.stringify(request.without))}`,
        ]),
  ]);
}

/** SQL that counts the rows that were left out of an epoch. */
export function countRejected(warehouse: Pick<Warehouse, 'meta'>, id: GenerationId): string {
  return `(SELECT COUNT(*) FROM ${warehouse.meta('rejected_rows')} WHERE ${whereEpoch(id)})`;
}

/** The staged rows of the chosen attempts. */
export function stagedRows(warehouse: Pick<Warehouse, 'table'>, schema: TableSchema, { tables, others, without = [] }: Source): string {
  const columns: readonly Field[] = [{ name: PARTITION_COLUMN, type: '' }, { name: ATTEMPT_COLUMN, type: '' }, ...stagingFields(schema)];
  const list = columns.map(({ name }) => name).join(', ');
  const but = [
    ...others.map(({ part, attempt }) => `NOT (${PARTITION_COLUMN} = ${int(part)} AND ${ATTEMPT_COLUMN} = ${text(attempt)})`),
    ...without.map(([first, last]) => `${PARTITION_COLUMN} NOT BETWEEN ${int(first)} AND ${int(last)}`),
  ];
  const where = but.length === 0 ? '' : ` WHERE ${but.join(' AND ')}`;
  return `(${tables.map((table) => `SELECT ${list} FROM ${warehouse.table(table)}${where}`).join('\nUNION ALL ')})`;
}

/** The column for which a staged row is left out, or NULL, as a CASE. */
export function refusal(schema: TableSchema): string {
  const cases = schema.columns.flatMap(({ name, type }, index) => {
    const staged = stagingColumn(index);
    const refused = [isRefused(type, staged), schema.key.includes(name) ? `${staged} IS NULL` : undefined].filter(
      (one) => one !== undefined,
    );
    return refused.length === 0 ? [] : [`WHEN ${refused.join(' OR ')} THEN ${text(name)}`];
  });
  return cases.length === 0 ? 'CAST(NULL AS STRING)' : `CASE ${cases.join(' ')} END`;
}

/** The statement that writes down the rows that are left out. */
export function rejectedRows(table: string, id: GenerationId, schema: TableSchema, from: string): string {
  return `INSERT INTO ${table} (pipeline, tbl, epoch, part, attempt, column_name, reason, payload)
SELECT ${of(id)}, ${PARTITION_COLUMN}, ${ATTEMPT_COLUMN}, refused, 'the BigQuery type does not hold the value', payload
FROM (SELECT ${PARTITION_COLUMN}, ${ATTEMPT_COLUMN}, ${refusal(schema)} AS refused, TO_JSON_STRING(s) AS payload FROM ${from} AS s)
WHERE refused IS NOT NULL`;
}

/** One row a key: ranges that were read at different times may both have met a row that moved. */
function physicalRows(physical: string, { schema, l0 }: BuildRequest, from: string): string {
  const names = [...schema.columns.map(({ name }) => column(name)), POSITION_COLUMN];
  const values = schema.columns.map(({ type }, index) => valueSql(type, stagingColumn(index)));
  const key = keyColumns(schema).map(({ name, type }) => {
    const staged = stagingColumn(schema.columns.findIndex((one) => one.name === name));
    return type.kind === 'float64' ? `CAST(${staged} AS STRING)` : staged; // BigQuery does not partition by a float.
  });
  const into = `INSERT INTO ${physical} (${names.join(', ')})
SELECT ${[...values, text(l0)].join(', ')}`;
  if (key.length === 0) return `${into} FROM ${from} WHERE ${refusal(schema)} IS NULL`;
  return `${into}
FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY ${key.join(', ')}) AS turn FROM ${from} WHERE ${refusal(schema)} IS NULL)
WHERE turn = 1`;
}
