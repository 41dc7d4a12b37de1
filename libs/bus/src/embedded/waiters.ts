import type { Clock } from '@nanosync/core';

/** How often a waiting reader looks for what another process wrote. */
const POLL_MS = 200;

/** Wakes readers of this process when something they wait for was committed. */
export class Waiters {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Set<() => void>>();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Waits for a wake of one of the keys, the signal, or the time, whichever comes first, and not longer than one poll. */
  async wait(keys: readonly string[], ms: number, signal?: AbortSignal): Promise<void> {
    if (this.#closed || signal?.aborted) return;
    const woken = new AbortController();
    const wake = () => woken.abort();
    for (const key of keys) this.#waitersOf(key).add(wake);
    signal?.addEventListener('abort', wake, { once: true });
    try {
      await this.#clock.sleep(Math.min(ms, POLL_MS), woken.signal);
    } finally {
      signal?.removeEventListener('abort', wake);
      for (const key of keys) {
        const waiters = this.#waitersOf(key);
        waiters.delete(wake);
        if (waiters.size === 0) this.#waiting.delete(key);
      }
    }
  }

  /** Wakes all that wait for the key. */
  wake(key: string): void {
    for (const wake of [...(this.#waiting.get(key) ?? [])]) wake();
  }

  /** Wakes everyone and lets no one wait any more. */
  close(): void {
    this.#closed = true;
    for (const key of [...this.#waiting.keys()]) this.wake(key);
  }

  #waitersOf(key: string): Set<() => void> {
    let waiters = this.#waiting.get(key);
    if (waiters === undefined) {
      waiters = new Set();
      this.#waiting.set(key, waiters);
    }
    return waiters;
  }
}

/** The key under which readers of a bus partition wait. */
export function partitionKey(topicNo: number, partition: number): string {
  return `${topicNo}/${partition}`;
}
