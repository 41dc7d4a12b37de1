import type { GenerationId, Problem, TableId } from '@nanosync/core';
import { PipelineError, splitTableId } from '@nanosync/core';
import type { Session } from './duckdb-file.ts';
import { META, name, query, run, text } from './sql.ts';

/** Schemas that DuckDB or nanosync has for itself. */
const RESERVED = new Set([META, 'information_schema', 'pg_catalog', 'temp', 'system']);

/** The physical table of a generation. Epochs are random, so it is new for each. */
export function physicalName(generation: GenerationId): string {
  return `${generation.pipeline}/${generation.table}/${generation.epoch}`;
}

/** The staging table of an epoch. */
export function stagingName(generation: GenerationId): string {
  return `stage:${physicalName(generation)}`;
}

/** SQL that selects a generation's rows in one of our tables. */
export function whereGeneration(generation: GenerationId): string {
  return `pipeline = ${text(generation.pipeline)} AND tbl = ${text(generation.table)} AND epoch = ${text(generation.epoch)}`;
}

/** What keeps any file from having a table's name. */
export function reservedProblem(table: TableId): Problem | undefined {
  const { schema } = splitTableId(table);
  if (!RESERVED.has(schema.toLowerCase())) return undefined;
  return { what: `the schema ${schema} of ${table} is reserved in DuckDB.`, cure: 'Leave the table out of the pipeline.' };
}

/** What keeps a pipeline from having a table's name, or undefined when the name is free or already its own. `known`: our tables are there. */
export async function nameProblem(session: Session, pipeline: string, table: TableId, known = true): Promise<Problem | undefined> {
  const { schema, name: bare } = splitTableId(table);
  const reserved = reservedProblem(table);
  if (reserved !== undefined) return reserved;
  const owners = known
    ? await query(
        session.connection,
        `SELECT pipeline, tbl, physical, state FROM ${session.meta}.generations WHERE is_current AND lower(tbl) = lower(${text(table)})`,
      )
    : [];
  const isAnothers = ({ pipeline: owner, tbl, state }: (typeof owners)[number]) =>
    tbl !== table || (state !== 'kept' && owner !== pipeline);
  const other = owners.find(isAnothers);
  if (other !== undefined)
    return {
      what: `${table} in DuckDB belongs to table ${other.tbl} of pipeline ${other.pipeline}.`,
      cure: `Give this pipeline a file of its own, or delete pipeline ${other.pipeline} with its tables first.`,
    };
  const found = await objectsNamed(session, schema, bare);
  const foreign = found.find(
    (object) => object.kind !== 'view' || !owners.some((owner) => String(object.sql).includes(name(String(owner.physical)))),
  );
  if (foreign === undefined) return undefined;
  return {
    what: `${table} already exists in DuckDB as a ${foreign.kind} that nanosync did not make.`,
    cure: `Rename or drop it, or choose another file: DROP ${String(foreign.kind).toUpperCase()} ${name(schema)}.${name(bare)}.`,
  };
}

/** Gives the table's name to a generation's physical table, in the current transaction; refuses a name that is not ours. */
export async function showUnderName(session: Session, generation: GenerationId, columns: readonly string[]): Promise<void> {
  const problem = await nameProblem(session, generation.pipeline, generation.table);
  if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
  const { schema, name: bare } = splitTableId(generation.table);
  const { connection, catalog } = session;
  await run(connection, `CREATE SCHEMA IF NOT EXISTS ${name(catalog)}.${name(schema)}`);
  // Inside the view the file's own name must not appear: the view has to work in a copy and under any ATTACH ... AS.
  await run(
    connection,
    `CREATE OR REPLACE VIEW ${name(catalog)}.${name(schema)}.${name(bare)} AS
     SELECT ${columns.map(name).join(', ')} FROM ${name(META)}.${name(physicalName(generation))}`,
  );
}

/** Takes the name of a table from the generation that has it, where it has it. */
export async function hideName(session: Session, generation: GenerationId): Promise<void> {
  const { schema, name: bare } = splitTableId(generation.table);
  const views = await objectsNamed(session, schema, bare);
  if (views.some(({ kind, sql }) => kind === 'view' && String(sql).includes(name(physicalName(generation)))))
    await run(session.connection, `DROP VIEW ${name(session.catalog)}.${name(schema)}.${name(bare)}`);
}

/** True when there is something under a table's name. */
export async function shows(session: Session, table: TableId): Promise<boolean> {
  const { schema, name: bare } = splitTableId(table);
  return (await objectsNamed(session, schema, bare)).length > 0;
}

/** The tables and views of this name. */
export async function objectsNamed({ connection, catalog }: Session, schema: string, bare: string) {
  const same = (alias: string) =>
    `database_name = ${text(catalog)} AND lower(schema_name) = lower(${text(schema)}) AND lower(${alias}) = lower(${text(bare)})`;
  return query(
    connection,
    `SELECT 'table' AS kind, NULL AS sql FROM duckdb_tables() WHERE ${same('table_name')}
     UNION ALL SELECT 'view', sql FROM duckdb_views() WHERE ${same('view_name')}`,
  );
}
