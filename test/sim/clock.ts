import type { Clock } from '@nanosync/core';
import type { Random } from './random.ts';

interface Event {
  readonly dueUs: number;
  /** Drawn from the seed: what is due at the same moment happens in an order that the seed decides. */
  readonly tie: number;
  readonly wake: () => void;
  cancelled: boolean;
}

const START_MS = Date.UTC(2026, 0, 1);

/**
 * Virtual time of a simulation, in microseconds: it moves only from one event to the next, and everything that follows from an event has
 * happened before the next one. The order of events is that of their time, then of the seed.
 */
export class SimClock implements Clock {
  private readonly random: Random;
  private nowUs = 0;
  private readonly heap: Event[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  nowMs(): number {
    return START_MS + this.monotonicMs();
  }

  monotonicMs(): number {
    return Math.floor(this.nowUs / 1000);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const event = this.at(this.nowUs + Math.max(0, Math.round(ms * 1000)), () => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      });
      const aborted = () => {
        event.cancelled = true;
        resolve();
      };
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }

  /** Calls back at a later time. */
  after(ms: number, wake: () => void): void {
    this.at(this.nowUs + Math.max(0, Math.round(ms * 1000)), wake);
  }

  /** Moves time on to the next event and lets everything happen that follows from it. False when nothing is to come. */
  async step(): Promise<boolean> {
    let event = this.pop();
    while (event?.cancelled === true) event = this.pop();
    if (event === undefined) return false;
    this.nowUs = Math.max(this.nowUs, event.dueUs);
    event.wake();
    await settled();
    return true;
  }

  private at(dueUs: number, wake: () => void): Event {
    const event: Event = { dueUs, tie: this.random.next(), wake, cancelled: false };
    this.push(event);
    return event;
  }

  private push(event: Event): void {
    const heap = this.heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  private pop(): Event | undefined {
    const heap = this.heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!isBefore(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.dueUs < b.dueUs || (a.dueUs === b.dueUs && a.tie < b.tie);
}

/** Everything that only waits for promises has happened then. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
