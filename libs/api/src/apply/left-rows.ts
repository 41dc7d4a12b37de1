import type { LeftTable, ServiceContext, TableId } from '@nanosync/core';
import { PipelineError, shortPosition, targetsOf } from '@nanosync/core';
import type { PlannedApply, PlannedEdit } from './plan.ts';
import { toCheck } from './plan.ts';

/**
 * Adds to plans what becomes of rows that deleted pipelines left under the names that they come to, where nothing is copied over them: it is known from the
 * sink alone. Touches nothing. With `lenient` a sink that cannot be asked is passed over: for a plan that is only shown.
 */
export async function withLeftRows(
  openSink: ServiceContext['openSink'],
  plans: readonly PlannedApply[],
  { lenient = false }: { readonly lenient?: boolean } = {},
): Promise<readonly PlannedApply[]> {
  const told: PlannedApply[] = [];
  const passing = (error: unknown): readonly LeftTable[] => {
    if (!lenient || !(error instanceof PipelineError) || error.kind === 'defect') throw error;
    return [];
  };
  for (const plan of plans) {
    const tables = comingOver(plan);
    const left = tables.length === 0 ? [] : await leftUnder(openSink, plan, tables).catch(passing);
    told.push({ ...plan, edits: [...plan.edits, ...left.map((one) => becomingOf(plan, one))] });
  }
  return told;
}

/** The tables with which a plan begins something over what is there. */
function comingOver(plan: PlannedApply): readonly string[] {
  const { definition, outcome, edits } = plan;
  if (definition.query !== undefined)
    return outcome === 'created' || edits.some(({ part }) => part === 'sink.table') ? targetsOf(definition) : [];
  return definition.replicationType === 'cdc' ? (toCheck(plan)?.source.tables ?? []) : [];
}

async function leftUnder(
  openSink: ServiceContext['openSink'],
  { definition }: PlannedApply,
  tables: readonly string[],
): Promise<readonly LeftTable[]> {
  await using sink = await openSink(definition.sink.connection);
  return await sink.left(tables as readonly TableId[]);
}

function becomingOf({ definition: { query } }: PlannedApply, { table, pipeline, schema, followedTo, stopped }: LeftTable): PlannedEdit {
  if (query !== undefined) {
    const isReplaced = query.key.length === 0;
    const effect = isReplaced
      ? `the first result takes the place of the rows that pipeline ${pipeline} left in ${table}`
      : `results are written over the rows that pipeline ${pipeline} left in ${table}, by ${query.key.join(', ')}`;
    // A result without a key was replaced by the next one all the time; what was gathered or followed comes again from nowhere.
    return { part: 'sink.table', effect, drops: isReplaced && schema.key.length > 0 };
  }
  const since =
    followedTo === null
      ? 'of which no changes were followed: what changed at the source since they were copied is missing'
      : `with all changes up to ${shortPosition(followedTo)}: what changed at the source after that, until now, is missing`;
  const part = stopped === true ? ' (its copy was stopped: rows that were not read are missing)' : '';
  return {
    part: 'source.tables',
    effect: `table ${table} begins with the rows that pipeline ${pipeline} left${part}, ${since}`,
    drops: false,
  };
}
