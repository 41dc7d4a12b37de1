import type { Log } from '@nanosync/core';

/** A log that says nothing, for tests. */
export const quiet: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => quiet,
};
