import type { PipelineRecord, QueryOutcome, QueryRecord, State } from '@nanosync/core';
import { readRecord, stateKeys } from '@nanosync/core';

/** The runs of a query pipeline for people and programs. */
export interface QueryStatus {
  /** The table at the sink. */
  readonly table: string;
  /** By which columns its rows are written over; none: each result takes the place of all of them. */
  readonly key: readonly string[];
  /** When the run under way began, or null. */
  readonly runningSinceMs: number | null;
  /** When the next run is due: past while one is under way or the pipeline is paused. Null until the planner has reckoned it. */
  readonly nextMs: number | null;
  /** A run is asked for before that. */
  readonly asked: boolean;
  /** How the last run ended. */
  readonly last: QueryOutcome | null;
}

/** The runs of a pipeline; null for one that has none. */
export async function queryStatus(state: State, { definition, request }: PipelineRecord): Promise<QueryStatus | null> {
  const { name, query } = definition;
  if (query === undefined) return null;
  const runs = (await readRecord<QueryRecord>(state, stateKeys.query(name)))?.value;
  return {
    table: query.table,
    key: query.key,
    runningSinceMs: runs?.run?.startedMs ?? null,
    nextMs: runs?.dueMs ?? null,
    asked: request !== null || (runs !== undefined && runs.asked !== null),
    last: runs?.last ?? null,
  };
}

/** True unless the last run failed, or left rows of its result out. */
export function isQueryWell(query: QueryStatus | null): boolean {
  const last = query?.last ?? null;
  return last === null || (last.failure === null && last.quarantined === 0);
}
