import type { FailpointName } from '@nanosync/core';
import { FAILPOINTS } from '@nanosync/core';

/** Reached where a table is added to a pipeline. */
export const OF_AN_ADDITION = ['tables-extended', 'tables-added'] as const satisfies readonly FailpointName[];

/** Reached in the life of every pipeline. */
export const OF_EVERY_PIPELINE = FAILPOINTS.filter(
  (name): name is Exclude<FailpointName, (typeof OF_AN_ADDITION)[number]> => !OF_AN_ADDITION.some((other) => other === name),
);
