import type { FailpointName } from '@nanosync/core';
import { FAILPOINTS } from '@nanosync/core';

/** Reached where a table is added to a pipeline. */
export const OF_AN_ADDITION = ['tables-extended', 'tables-added'] as const satisfies readonly FailpointName[];

/** Reached where a table is copied anew beside its stream. */
export const OF_A_COPY = ['copy-begun', 'generation-switched'] as const satisfies readonly FailpointName[];

/** Reached where copies are stopped. */
export const OF_A_STOP = ['copy-stopped'] as const satisfies readonly FailpointName[];

/** Reached where a table is taken out of a pipeline. */
export const OF_A_TABLE_TAKEN_OUT = [
  'table-withdrawn',
  'table-released',
  'table-records-removed',
] as const satisfies readonly FailpointName[];

/** Reached in the runs of a query. */
export const OF_A_QUERY = ['query-run-stored', 'query-result-written', 'query-run-ended'] as const satisfies readonly FailpointName[];

/** Reached where a pipeline is deleted. */
export const OF_A_DELETION = [
  'source-released',
  'topics-deleted',
  'sink-released',
  'records-removed',
] as const satisfies readonly FailpointName[];

type Elsewhere =
  | (typeof OF_AN_ADDITION)[number]
  | (typeof OF_A_COPY)[number]
  | (typeof OF_A_STOP)[number]
  | (typeof OF_A_TABLE_TAKEN_OUT)[number]
  | (typeof OF_A_QUERY)[number]
  | (typeof OF_A_DELETION)[number];
const ELSEWHERE: readonly FailpointName[] = [
  ...OF_AN_ADDITION,
  ...OF_A_COPY,
  ...OF_A_STOP,
  ...OF_A_TABLE_TAKEN_OUT,
  ...OF_A_QUERY,
  ...OF_A_DELETION,
];

/** Reached in the life of every pipeline. */
export const OF_EVERY_PIPELINE = FAILPOINTS.filter((name): name is Exclude<FailpointName, Elsewhere> => !ELSEWHERE.includes(name));
