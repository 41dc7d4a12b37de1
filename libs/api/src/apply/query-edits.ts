import type { QueryDefinition } from '@nanosync/core';
import type { Change, EditRule, Outcome } from './edits.ts';

/** The parts of a definition that only a query pipeline has. */
export type QueryPart = 'source.query' | 'sink.table' | 'key' | 'schedule' | 'timeout';

/** Edits of a query pipeline and their effects. None of them touches a run that is under way. */
export const QUERY_EDITS: Readonly<Record<QueryPart, EditRule>> = {
  'source.query': part(
    ({ statement }) => statement,
    () => 'the next run is of the new query',
  ),
  'sink.table': part(
    ({ table }) => table,
    ({ table }, before) => `the next run writes ${table}, which is a new table; ${before.table} stays as it is and is no longer written`,
  ),
  key: part(
    ({ key }) => key,
    ({ key }) =>
      key.length === 0
        ? 'each result replaces the table whole from the next run on'
        : `the next run replaces the table whole; those after it are written by ${key.join(', ')}`,
    // What earlier results gathered is in no later one.
    (before) => before.key.length > 0,
  ),
  schedule: part(
    ({ schedule }) => schedule,
    ({ schedule }) =>
      'everyMs' in schedule
        ? `it runs every ${schedule.everyMs / 1000} s, reckoned from the start of its last run`
        : `it runs next at the next time of "${schedule.cron}" (${schedule.timeZone})`,
  ),
  timeout: part(
    ({ timeoutMs }) => timeoutMs,
    ({ timeoutMs }) => `the next run is given up after ${timeoutMs === null ? 'an hour' : `${timeoutMs / 1000} s`}`,
  ),
};

/** Where one of the two is no query pipeline its type was changed, which says it all. */
function part(
  value: (query: QueryDefinition) => unknown,
  effect: (query: QueryDefinition, before: QueryDefinition) => string,
  drops: (before: QueryDefinition) => boolean = () => false,
): EditRule {
  return {
    value: ({ query }) => (query === undefined ? null : value(query)),
    outcomes: ({ stored, wanted }: Change): readonly Outcome[] => {
      const before = stored.definition.query;
      if (wanted.query === undefined || before === undefined) return [];
      return [{ kind: 'effect', effect: effect(wanted.query, before), drops: drops(before) }];
    },
  };
}
