import { setTimeout as wait } from 'node:timers/promises';
import type { Clock, Log } from '@nanosync/core';

/** The real clock, for tests on a real server. */
export const realClock: Clock = {
  nowMs: () => performance.timeOrigin + performance.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => wait(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {}),
};

/** A log that nobody reads. */
export const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, with: () => quiet };
