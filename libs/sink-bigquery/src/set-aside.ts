import type { GenerationId, Problem, TableId, TableSchema } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { keyColumns, sqlTypeOf } from './column-types.ts';
import { of } from './epochs.ts';
import { GoogleError } from './google-error.ts';
import { asideName, viewName } from './names.ts';
import { column, demand, text } from './sql.ts';
import type { TableResource, Warehouse } from './warehouse.ts';

/** Rows that somebody else put under a table's name: there still; set aside, with a view of them there or with nothing yet; set aside, and others are there. */
type Foreign =
  | { readonly kind: 'named'; readonly resource: TableResource }
  | { readonly kind: 'aside'; readonly name: string; readonly isShown: boolean }
  | { readonly kind: 'twice'; readonly name: string };

/** A table that was set aside; `begun`: a generation has its rows. */
interface Aside {
  readonly name: string;
  readonly begun: boolean;
}

async function asidesOf(warehouse: Warehouse, table: TableId): Promise<readonly Aside[]> {
  const jobs = await warehouse.jobs();
  const rows = await jobs.query(
    `SELECT physical, COUNTIF(event = 'begun') AS begun FROM ${warehouse.meta('generations')}
     WHERE tbl = ${text(table)} AND event IN ('aside', 'begun') GROUP BY physical`,
  );
  const there: Aside[] = [];
  for (const { physical, begun } of rows)
    if (await isThere(warehouse, String(physical))) there.push({ name: String(physical), begun: Number(begun) > 0 });
  return there;
}

async function isThere(warehouse: Warehouse, name: string): Promise<boolean> {
  const jobs = await warehouse.jobs();
  try {
    await jobs.query(`SELECT COUNT(*) AS n FROM ${warehouse.table(name)}`);
    return true;
  } catch (error) {
    if (error instanceof GoogleError && error.isNotFound) return false;
    throw error;
  }
}

/** What somebody else put under a table's name; undefined where that is nothing, or what nanosync made. `prepared`: our tables are there. */
async function foreignOf(warehouse: Warehouse, table: TableId, prepared = true): Promise<Foreign | undefined> {
  const name = viewName(table);
  const resource = await warehouse.describe(name);
  const asides = prepared ? await asidesOf(warehouse, table) : [];
  if (resource?.type === 'VIEW') {
    const definition = asides.length === 0 ? undefined : await warehouse.viewDefinition(name);
    const shown = asides.find((one) => definition?.includes(one.name) === true);
    return shown && { kind: 'aside', name: shown.name, isShown: true };
  }
  const [open, ...others] = asides.filter(({ begun }) => !begun);
  if (others.length > 0)
    throw new PipelineError(
      'defect',
      `${table} was set aside in BigQuery as ${[open, ...others].map((one) => one?.name).join(' and as ')}.`,
    );
  if (open === undefined) return resource?.type === 'TABLE' ? { kind: 'named', resource } : undefined;
  // Asked in SQL: the emulator describes a table that was renamed as if it were there still.
  const isAgain = resource !== undefined && (await isThere(warehouse, name));
  return isAgain ? { kind: 'twice', name: open.name } : { kind: 'aside', name: open.name, isShown: false };
}

/** True where the name has a view of what was set aside: nobody's, until a generation has begun with it. */
export async function isViewOfAside(warehouse: Warehouse, table: TableId): Promise<boolean> {
  const foreign = await foreignOf(warehouse, table);
  return foreign?.kind === 'aside' && foreign.isShown;
}

/** What keeps a generation from beginning with the rows that somebody else put under the table's name. Changes nothing. */
export async function asideProblem(warehouse: Warehouse, schema: TableSchema, prepared = true): Promise<Problem | undefined> {
  const foreign = await foreignOf(warehouse, schema.table, prepared);
  if (foreign === undefined) return undefined;
  const name = viewName(schema.table);
  if (foreign.kind === 'twice')
    return {
      what: `${name} in BigQuery was made again by somebody else after its rows had been set aside as ${foreign.name}.`,
      cure: `End what writes it, and keep one of the two: DROP TABLE ${warehouse.table(name)}, or DROP TABLE ${warehouse.table(foreign.name)}.`,
    };
  const different = foreign.kind === 'named' ? columnsProblem(schema, foreign.resource) : undefined;
  return different ?? keyProblem(warehouse, schema, foreign.kind === 'named' ? name : foreign.name);
}

/** The REST interface says the older names of these. */
const TYPE_NAMES: Readonly<Record<string, string>> = { INTEGER: 'INT64', FLOAT: 'FLOAT64', BOOLEAN: 'BOOL' };

function columnsProblem({ table, columns }: TableSchema, { schema }: TableResource): Problem | undefined {
  const name = viewName(table);
  const cure = `Make its columns those of the source, or rename it.`;
  const there = new Map((schema?.fields ?? []).map((field) => [field.name.toLowerCase(), field]));
  for (const { name: bare, type } of columns) {
    const field = there.get(bare.toLowerCase());
    if (field === undefined) return { what: `${name} in BigQuery has no column ${bare}.`, cure };
    const found = field.mode === 'REPEATED' ? `an array of ${field.type}` : (TYPE_NAMES[field.type] ?? field.type);
    if (found !== sqlTypeOf(type)) return { what: `column ${bare} of ${name} in BigQuery is ${found}, not ${sqlTypeOf(type)}.`, cure };
    there.delete(bare.toLowerCase());
  }
  const [extra] = there.values();
  return extra && { what: `${name} in BigQuery has a column ${extra.name} that the source does not have.`, cure };
}

/** Changes are applied by key: two rows of one key would both be that row. */
async function keyProblem(warehouse: Warehouse, schema: TableSchema, name: string): Promise<Problem | undefined> {
  const faults = keyFaultsSql(warehouse, schema, name);
  if (faults === undefined) return undefined;
  const jobs = await warehouse.jobs();
  const [row] = await jobs.query(`SELECT ${faults.doubled} AS doubled, ${faults.missing} AS missing`);
  const cure = `Correct them: rows are known by ${schema.key.join(', ')}.`;
  if (Number(row?.doubled) > 0) return { what: `${name} in BigQuery has several rows of one key, ${row?.doubled} times.`, cure };
  if (Number(row?.missing) > 0) return { what: `${name} in BigQuery has ${row?.missing} rows without a key.`, cure };
  return undefined;
}

function keyFaultsSql(warehouse: Pick<Warehouse, 'table'>, schema: TableSchema, name: string) {
  if (schema.key.length === 0) return undefined;
  const key = keyColumns(schema).map(({ name: bare, type }) =>
    type.kind === 'float64' ? `CAST(${column(bare)} AS STRING)` : column(bare),
  );
  const isNull = key.map((cell) => `${cell} IS NULL`).join(' OR ');
  const from = warehouse.table(name);
  return {
    missing: `(SELECT COUNT(*) FROM ${from} WHERE ${isNull})`,
    doubled: `(SELECT COUNT(*) FROM (SELECT COUNT(*) AS n FROM ${from} WHERE NOT (${isNull}) GROUP BY ${key.join(', ')}) WHERE n > 1)`,
  };
}

/** Looks once more, in the step that takes the rows, and notes in it that a generation has begun with them. */
export function beginStatements(warehouse: Pick<Warehouse, 'table' | 'meta'>, schema: TableSchema, name: string): readonly string[] {
  const faults = keyFaultsSql(warehouse, schema, name);
  return [
    ...(faults === undefined ? [] : [demand(`${faults.doubled} + ${faults.missing} = 0`, 'keys differ')]),
    insertAside(warehouse, schema.table, name, 'begun'),
  ];
}

/**
 * Sets a table that somebody else made aside, under the name that is returned, and lets a view of it have its name meanwhile; undefined where there
 * is none. BigQuery cannot do both in one step: between them nothing has the name for a moment. Whoever comes after a death goes on, since the new name is
 * written down before; of several that do it at once one renames, and the others find it done.
 */
export async function setAside(warehouse: Warehouse, id: GenerationId, schema: TableSchema): Promise<string | undefined> {
  const name = viewName(id.table);
  const jobs = await warehouse.jobs();
  for (let attempt = 1; ; attempt++) {
    const foreign = await foreignOf(warehouse, id.table);
    if (foreign === undefined) return undefined;
    if (foreign.kind === 'aside' && foreign.isShown) return foreign.name;
    try {
      if (foreign.kind === 'aside') {
        await jobs.change('aside', viewOfAside(warehouse, schema, foreign.name));
        return foreign.name;
      }
      const problem = await asideProblem(warehouse, schema);
      if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
      await jobs.change('aside', insertAside(warehouse, id.table, asideName(id), 'aside'));
      const rename = `ALTER TABLE ${warehouse.table(name)} RENAME TO ${column(asideName(id))}`;
      await jobs.change('aside', `${rename};\n${viewOfAside(warehouse, schema, asideName(id))};`);
      warehouse.api.options.log.info('table set aside', { table: id.table, as: asideName(id) });
    } catch (error) {
      if (!(error instanceof GoogleError)) throw error;
      if (attempt < ATTEMPTS) continue; // Somebody else may have done it.
      throw new PipelineError('prerequisite', `${name} in BigQuery could not be set aside: ${error.message.slice(0, 300)}`, {
        hint: 'Rows that are still in a streaming buffer can keep it from being renamed for up to 90 minutes. It is tried again.',
        cause: error,
      });
    }
  }
}

const ATTEMPTS = 3;

function viewOfAside(warehouse: Warehouse, { table, columns }: TableSchema, aside: string): string {
  const list = columns.map(({ name }) => column(name)).join(', ');
  const about = `Rows of ${aside}, until nanosync keeps a table of them in step.`;
  return `CREATE VIEW ${warehouse.table(viewName(table))} OPTIONS (description = ${text(about)}) AS
SELECT ${list} FROM ${warehouse.table(aside)}`;
}

/** `aside`: this name will have the table. `begun`: a generation has its rows. Of no pipeline: they stay when pipelines go. */
function insertAside(warehouse: Pick<Warehouse, 'meta'>, table: TableId, name: string, event: 'aside' | 'begun'): string {
  const nobody: GenerationId = { pipeline: '', table, epoch: '' };
  return `INSERT INTO ${warehouse.meta('generations')} (pipeline, tbl, epoch, event, id, physical)
VALUES (${of(nobody)}, '${event}', ${text(name)}, ${text(name)})`;
}
