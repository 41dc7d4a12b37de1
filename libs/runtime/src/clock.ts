import type { Clock } from '@nanosync/core';

/** The machine's time. */
export function systemClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const end = () => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', end);
          resolve();
        };
        // A time that has passed meanwhile is no time; Node warns on the user's screen of a negative one.
        const timer = setTimeout(end, Math.max(0, ms));
        signal?.addEventListener('abort', end, { once: true });
      }),
  };
}
