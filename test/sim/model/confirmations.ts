import type { Clock, ConfirmOptions } from '@nanosync/core';
import { positionOf } from '@nanosync/core';

const TOGETHER_MS = 250;
const ASK_AGAIN_MS = 1000;

interface Held {
  readonly lsn: bigint;
  readonly firstMs: number;
  readonly dueMs: number;
}

interface Parts {
  readonly clock: Clock;
  readonly options: ConfirmOptions | undefined;
  readonly tell: (lsn: bigint) => void;
}

/** Acknowledged values on their way to the server, kept for a while and asked about, as the real source does it. */
export class ModelConfirmations {
  private readonly parts: Parts;
  private readonly ending = new AbortController();
  private held: Held[] = [];
  private running = false;

  constructor(parts: Parts) {
    this.parts = parts;
  }

  add(lsn: bigint): void {
    const { clock, options, tell } = this.parts;
    if (options === undefined) return tell(lsn);
    if (this.ending.signal.aborted) return;
    const nowMs = clock.monotonicMs();
    const last = this.held.at(-1);
    if (last?.lsn === lsn) return;
    const joined = last !== undefined && nowMs - last.firstMs < TOGETHER_MS ? this.held.pop() : undefined;
    this.held.push({ lsn, firstMs: joined?.firstMs ?? nowMs, dueMs: nowMs + options.afterMs });
    if (!this.running) void this.run(options);
  }

  close(): void {
    this.ending.abort();
    this.held = [];
  }

  private async run(options: ConfirmOptions): Promise<void> {
    const { clock } = this.parts;
    const { signal } = this.ending;
    this.running = true;
    for (let [first] = this.held; first !== undefined && !signal.aborted; [first] = this.held) {
      await clock.sleep(first.dueMs - clock.monotonicMs(), signal);
      if (signal.aborted) return;
      const nowMs = clock.monotonicMs();
      const value = this.held.findLast(({ dueMs }) => dueMs <= nowMs);
      if (value === undefined) continue;
      const answer = await options.mayTell(positionOf(value.lsn, 0n)).catch(() => 'unknown' as const);
      if (signal.aborted) return;
      if (answer === false) return this.close();
      if (answer === 'unknown') await clock.sleep(ASK_AGAIN_MS, signal);
      else {
        this.held = this.held.filter(({ lsn }) => lsn > value.lsn);
        this.parts.tell(value.lsn);
      }
    }
    this.running = false;
  }
}
