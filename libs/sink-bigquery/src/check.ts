import type { Problem, TableId, TableSchema } from '@nanosync/core';
import { isKind, PipelineError } from '@nanosync/core';
import { adoptionProblem } from './adopt.ts';
import { columnProblem } from './column-types.ts';
import { explain, GoogleError } from './google-error.ts';
import { viewName } from './names.ts';
import { META } from './sql.ts';
import { nameProblem } from './views.ts';
import type { Warehouse } from './warehouse.ts';

/** Problems that would keep these tables from being written; touches nothing. */
export async function check(
  warehouse: Warehouse,
  pipeline: string,
  tables: readonly TableId[],
  schemas: readonly TableSchema[],
  adopts = false,
): Promise<readonly Problem[]> {
  const naming = namingProblems(tables, schemas);
  try {
    const rights = await rightsProblem(warehouse);
    if (rights !== undefined) return [rights, ...naming];
    const prepared = await warehouse.isPrepared();
    const taken: Problem[] = [];
    for (const table of tables) {
      const schema = adopts ? schemas.find((one) => one.table === table) : undefined;
      const problem =
        (await nameProblem(warehouse, pipeline, table, { prepared, adopts })) ??
        (schema === undefined ? undefined : await adoptionProblem(warehouse, schema, prepared));
      if (problem !== undefined) taken.push(problem);
    }
    return [...naming, ...taken];
  } catch (error) {
    const told = explain(error, warehouse.api.options);
    if (!isKind(told, 'prerequisite', 'config')) throw told;
    return [{ what: told.message, cure: told.hint ?? '' }, ...naming];
  }
}

/** What keeps the names of these tables and columns from being BigQuery's, whatever the dataset. */
export function namingProblems(tables: readonly TableId[], schemas: readonly TableSchema[]): readonly Problem[] {
  const names = new Map<string, TableId>();
  const problems = schemas.flatMap((schema) => columnProblem(schema) ?? []);
  for (const table of tables) {
    const name = viewName(table).toLowerCase();
    const other = names.get(name);
    if (other !== undefined)
      problems.push({
        what: `${other} and ${table} would both be ${viewName(table)} in BigQuery.`,
        cure: 'Put one of them into a pipeline of its own with another dataset.',
      });
    if (name.startsWith(META))
      problems.push({ what: `${table} has a name that nanosync keeps for itself.`, cure: 'Leave the table out of the pipeline.' });
    names.set(name, table);
  }
  return problems;
}

/** Asks BigQuery, without running anything, whether we may run jobs and make tables. */
async function rightsProblem(warehouse: Warehouse): Promise<Problem | undefined> {
  const jobs = await warehouse.jobs();
  const query = `CREATE TABLE ${warehouse.table(`${META}_check`)} (x INT64)`;
  try {
    await warehouse.api.call({
      method: 'POST',
      path: '/jobs',
      json: { jobReference: jobs.reference(jobs.freshId('check')), configuration: { dryRun: true, query: { query, useLegacySql: false } } },
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof GoogleError) || error.isPassing) throw error;
    const told = explain(error, warehouse.api.options);
    if (!(told instanceof PipelineError) || told.kind === 'defect') return undefined; // Not about rights.
    return { what: told.message, cure: told.hint ?? '' };
  }
}
