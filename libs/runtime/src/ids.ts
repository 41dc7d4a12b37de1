import { randomBytes } from 'node:crypto';
import type { Ids } from '@nanosync/core';

/** Ids from the system's secure randomness. */
export function randomIds(): Ids {
  return { next: () => randomBytes(8).toString('hex') };
}
