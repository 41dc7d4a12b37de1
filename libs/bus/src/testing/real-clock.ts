import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '@nanosync/core';

/** The machine's clock, for tests with several processes. */
export const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
};
