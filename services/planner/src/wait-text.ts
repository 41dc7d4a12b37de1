import type { FenceWait } from '@nanosync/core';

/** Who is waited for, since when, and what ends each wait, in one line. */
export function waitText(waits: readonly FenceWait[]): string {
  return waits.map((wait) => `${wait.holder}, ${Math.round(wait.ageSeconds)} s; to end it: ${wait.cure}`).join('; ');
}
