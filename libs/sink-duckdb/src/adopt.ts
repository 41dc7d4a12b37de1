import type { GenerationId, Problem, Sink, TableId, TableSchema } from '@nanosync/core';
import { givenUp, PipelineError, positionBelowAll, sameSchema, splitTableId, tableSchemaOf } from '@nanosync/core';
import { record } from './build.ts';
import { checkColumns, POSITION_COLUMN, sqlTypeOf } from './column-types.ts';
import type { Session } from './duckdb-file.ts';
import { switchTo } from './generations.ts';
import { nameProblem, objectsNamed, physicalName, reservedProblem, whereGeneration } from './names.ts';
import { name, query, run, text } from './sql.ts';
import { dropStaging } from './stage.ts';

type AdoptRequest = Parameters<Sink['adopt']>[0];

/** Begins a generation with the rows under the table's name, once: one transaction. */
export async function adopt(session: Session, request: AdoptRequest): Promise<{ readonly rows: number }> {
  const { connection, meta } = session;
  const { generation: id, schema } = request;
  const [known] = await query(connection, `SELECT state, rows_built FROM ${meta}.generations WHERE ${whereGeneration(id)}`);
  if (known?.state === 'built') return { rows: Number(known.rows_built) };
  if (known !== undefined) throw givenUp(id);
  checkColumns(schema);
  const [problem] = await adoptionProblems(session, id.pipeline, schema);
  if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
  await requireUnfollowed(session, id);
  const found = await shown(session, id.table);
  const physical = `${meta}.${name(physicalName(id))}`;
  // Invariant 'progress-in-the-sink': a row that no change of this stream wrote is below all of them.
  const columns = schema.columns.map((column) => `${name(column.name)} AS ${name(column.name)}`);
  const list = [...columns, `${text(positionBelowAll(request.l0))} AS ${POSITION_COLUMN}`].join(', ');
  const empty = [...schema.columns.map((column) => `${name(column.name)} ${sqlTypeOf(column.type)}`), `${POSITION_COLUMN} VARCHAR`];
  await run(
    connection,
    found === undefined ? `CREATE TABLE ${physical} (${empty.join(', ')})` : `CREATE TABLE ${physical} AS SELECT ${list} FROM ${found.sql}`,
  );
  const rows = Number((await query(connection, `SELECT count(*) AS n FROM ${physical}`))[0]?.n);
  if (found?.kind === 'table') await run(connection, `ALTER TABLE ${found.sql} RENAME TO ${name(keptName(id))}`);
  await dropStaging(session, id);
  await record(session, request, { rows, partitions: [], current: false });
  await switchTo(session, id);
  return { rows };
}

/** What a table that nanosync did not make is called once its rows are adopted. */
export function keptName({ table, epoch }: GenerationId): string {
  return `${splitTableId(table).name} before nanosync ${epoch.slice(0, 8)}`;
}

/** What keeps a pipeline from beginning with what is under the table's name. */
export async function adoptionProblems(session: Session, pipeline: string, schema: TableSchema, known = true): Promise<readonly Problem[]> {
  const reserved = reservedProblem(schema.table);
  if (reserved !== undefined) return [reserved];
  const found = await shown(session, schema.table);
  if (found?.kind !== 'table') {
    const problem = (await nameProblem(session, pipeline, schema.table, known)) ?? (known ? await oursProblem(session, schema) : undefined);
    return problem === undefined ? [] : [problem];
  }
  const { table } = schema;
  return [
    ...(await columnProblems(session, schema)),
    ...(await indexProblems(session, table)),
    ...(await referenceProblems(session, table)),
  ];
}

/** What we made and users see, be it of a copy or left of a pipeline that was deleted, is begun with where it has the source's columns of now. */
async function oursProblem({ connection, meta }: Session, schema: TableSchema): Promise<Problem | undefined> {
  const [shown] = await query(connection, `SELECT row_schema FROM ${meta}.generations WHERE tbl = ${text(schema.table)} AND is_current`);
  if (shown === undefined || sameSchema(tableSchemaOf(String(shown.row_schema)), schema)) return undefined;
  return {
    what: `${schema.table} in DuckDB was copied with other columns or another key than the source has now.`,
    cure: 'Copy it anew by replication_type cdc_backfill or snapshot.',
  };
}

async function columnProblems(session: Session, schema: TableSchema): Promise<readonly Problem[]> {
  const { table, columns, key } = schema;
  const rows = await query(
    session.connection,
    `SELECT column_name, data_type FROM duckdb_columns() WHERE ${place(session, table, 'table_name')}`,
  );
  const there = new Map(rows.map((row) => [String(row.column_name).toLowerCase(), String(row.data_type)]));
  const cure = 'Make its columns those of the source, or rename the table.';
  const problems: Problem[] = [];
  for (const { name: bare, type } of columns) {
    const found = there.get(bare.toLowerCase());
    const wanted = sqlTypeOf(type) === 'TIMESTAMPTZ' ? 'TIMESTAMP WITH TIME ZONE' : sqlTypeOf(type);
    if (found === undefined) problems.push({ what: `${table} in DuckDB has no column ${bare}.`, cure });
    else if (found !== wanted) problems.push({ what: `column ${bare} of ${table} in DuckDB is ${found}, not ${wanted}.`, cure });
    there.delete(bare.toLowerCase());
  }
  for (const extra of there.keys())
    problems.push({ what: `${table} in DuckDB has a column ${extra} that the source does not have.`, cure });
  return problems.length > 0 ? problems : keyProblems(session, table, key);
}

/** Changes are applied by key: two rows of one key would both be that row. */
async function keyProblems(session: Session, table: TableId, key: readonly string[]): Promise<readonly Problem[]> {
  const columns = key.map(name).join(', ');
  const missing = key.map((column) => `${name(column)} IS NULL`).join(' OR ');
  const found = await shown(session, table);
  const [row] = await query(
    session.connection,
    `SELECT (SELECT count(*) FROM (SELECT ${columns} FROM ${found?.sql} GROUP BY ${columns} HAVING count(*) > 1)) AS doubled,
       (SELECT count(*) FROM ${found?.sql} WHERE ${missing}) AS missing`,
  );
  const cure = `Correct them: rows are known by ${key.join(', ')}.`;
  return [
    ...(Number(row?.doubled) > 0 ? [{ what: `${table} in DuckDB has several rows of one key, ${row?.doubled} times.`, cure }] : []),
    ...(Number(row?.missing) > 0 ? [{ what: `${table} in DuckDB has ${row?.missing} rows without a key.`, cure }] : []),
  ];
}

async function indexProblems(session: Session, table: TableId): Promise<readonly Problem[]> {
  const rows = await query(session.connection, `SELECT index_name FROM duckdb_indexes() WHERE ${place(session, table, 'table_name')}`);
  return rows.map((row) => ({
    what: `${table} in DuckDB has index ${row.index_name}, and DuckDB renames no table that has one.`,
    cure: `Run: DROP INDEX ${name(splitTableId(table).schema)}.${name(String(row.index_name))};`,
  }));
}

/** Foreign keys stay within a schema; one of a table on itself goes with it. */
async function referenceProblems(session: Session, table: TableId): Promise<readonly Problem[]> {
  const { schema, name: bare } = splitTableId(table);
  const rows = await query(
    session.connection,
    `SELECT DISTINCT table_name FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY' AND database_name = ${text(session.catalog)}
       AND lower(schema_name) = lower(${text(schema)}) AND lower(referenced_table) = lower(${text(bare)}) AND lower(table_name) != lower(${text(bare)})
     ORDER BY table_name`,
  );
  return rows.map((row) => ({
    what: `${table} in DuckDB is what a foreign key of ${schema}.${row.table_name} refers to, and DuckDB renames no such table.`,
    cure: `Make ${schema}.${row.table_name} again without it: DuckDB drops no foreign key.`,
  }));
}

/** A copy that nothing followed may be replaced. One that followed changes has passed some that would be missing in the new one. */
async function requireUnfollowed({ connection, meta }: Session, id: GenerationId): Promise<void> {
  const [current] = await query(
    connection,
    `SELECT topic_id FROM ${meta}.generations WHERE pipeline = ${text(id.pipeline)} AND tbl = ${text(id.table)} AND state = 'built' AND is_current`,
  );
  // Invariant 'no-silent-gap': what came between its last change and this generation's first is nowhere.
  if (current !== undefined && current.topic_id !== '')
    throw new PipelineError('gap', `${id.table} at the sink followed changes before, and what came since would be missing.`, {
      hint: `Run: nanosync pipeline resnapshot ${id.pipeline}`,
    });
}

/** What is under the table's name. */
async function shown(session: Session, table: TableId): Promise<{ readonly kind: 'table' | 'view'; readonly sql: string } | undefined> {
  const { schema, name: bare } = splitTableId(table);
  const [found] = await objectsNamed(session, schema, bare);
  if (found === undefined) return undefined;
  return { kind: found.kind === 'table' ? 'table' : 'view', sql: `${name(session.catalog)}.${name(schema)}.${name(bare)}` };
}

function place({ catalog }: Session, table: TableId, column: string): string {
  const { schema, name: bare } = splitTableId(table);
  return `database_name = ${text(catalog)} AND lower(schema_name) = lower(${text(schema)}) AND lower(${column}) = lower(${text(bare)})`;
}
