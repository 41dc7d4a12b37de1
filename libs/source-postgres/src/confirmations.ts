import type { Clock } from '@nanosync/core';
import type { Lsn } from './position.ts';

/** Values that follow one another within this time are kept as one, so that few are held whatever the rate of commits. */
const TOGETHER_MS = 50;

interface Held {
  readonly lsn: Lsn;
  readonly firstMs: number;
  readonly dueMs: number;
}

/**
 * Keeps acknowledged values from the server for a while, in their order: the state store that knows them may lose its newest writes, and the
 * server must not forget what the store would ask for again.
 */
export class Confirmations {
  private readonly clock: Clock;
  private readonly afterMs: number;
  private readonly tell: (lsn: Lsn) => void;
  private readonly ending = new AbortController();
  private held: Held[] = [];
  private running = false;

  constructor(parts: { readonly clock: Clock; readonly afterMs: number; readonly tell: (lsn: Lsn) => void }) {
    this.clock = parts.clock;
    this.afterMs = parts.afterMs;
    this.tell = parts.tell;
  }

  /** Tells the value now, or when its time has come. */
  add(lsn: Lsn): void {
    if (this.afterMs === 0) return this.tell(lsn);
    const nowMs = this.clock.monotonicMs();
    const last = this.held.at(-1);
    if (last?.lsn === lsn) return; // Repeated: its first time counts.
    const joined = last !== undefined && nowMs - last.firstMs < TOGETHER_MS ? this.held.pop() : undefined;
    this.held.push({ lsn, firstMs: joined?.firstMs ?? nowMs, dueMs: nowMs + this.afterMs });
    if (!this.running) void this.run();
  }

  /** What was not told yet never will be. */
  close(): void {
    this.ending.abort();
    this.held = [];
  }

  private async run(): Promise<void> {
    this.running = true;
    for (let [first] = this.held; first !== undefined && !this.ending.signal.aborted; [first] = this.held) {
      await this.clock.sleep(first.dueMs - this.clock.monotonicMs(), this.ending.signal);
      if (this.ending.signal.aborted) return;
      const nowMs = this.clock.monotonicMs();
      const due = this.held.findLastIndex(({ dueMs }) => dueMs <= nowMs);
      const value = this.held[due];
      this.held = this.held.slice(due + 1);
      if (value !== undefined) this.tell(value.lsn);
    }
    this.running = false;
  }
}
