import { availableParallelism } from 'node:os';

/** Variables of the environment, read in this one place. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** This process's environment as it is now. */
export function processEnvironment(): Environment {
  return { ...process.env };
}

/** How many partitions of a pipeline are read at once unless the file says otherwise. */
export function defaultConcurrency(): number {
  return Math.max(4, availableParallelism());
}
