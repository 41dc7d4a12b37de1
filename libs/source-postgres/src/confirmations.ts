import type { Clock, ConfirmOptions } from '@nanosync/core';
import type { Lsn } from './position.ts';
import { positionOfLsn } from './position.ts';

/** Values that follow one another within this time are kept as one, so that few are held and asked about, whatever the rate of commits. */
const TOGETHER_MS = 250;
/** How long to wait before it is asked again whether a value may be told. */
const ASK_AGAIN_MS = 1000;

interface Held {
  readonly lsn: Lsn;
  readonly firstMs: number;
  readonly dueMs: number;
}

interface Parts {
  readonly clock: Clock;
  /** Absent: every value is told at once. */
  readonly options: ConfirmOptions | undefined;
  readonly tell: (lsn: Lsn) => void;
}

/**
 * Keeps acknowledged values from the server for a while, in their order, and asks before it tells one: the state store that knows them may
 * lose its newest writes, and the server must not forget what the store would ask for again.
 */
export class Confirmations {
  private readonly parts: Parts;
  private readonly ending = new AbortController();
  private held: Held[] = [];
  private running = false;

  constructor(parts: Parts) {
    this.parts = parts;
  }

  /** Tells the value now, or when its time has come. */
  add(lsn: Lsn): void {
    const { clock, options, tell } = this.parts;
    if (options === undefined) return tell(lsn);
    if (this.ending.signal.aborted) return;
    const nowMs = clock.monotonicMs();
    const last = this.held.at(-1);
    if (last?.lsn === lsn) return; // Repeated: its first time counts.
    const joined = last !== undefined && nowMs - last.firstMs < TOGETHER_MS ? this.held.pop() : undefined;
    this.held.push({ lsn, firstMs: joined?.firstMs ?? nowMs, dueMs: nowMs + options.afterMs });
    if (!this.running) void this.run(options);
  }

  /** What was not told yet never will be. */
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
      const answer = await options.mayTell(positionOfLsn(value.lsn)).catch(() => 'unknown' as const);
      if (signal.aborted) return;
      if (answer === false) return this.close();
      if (answer === 'unknown') await clock.sleep(ASK_AGAIN_MS, signal);
      else this.told(value);
    }
    this.running = false;
  }

  private told({ lsn }: Held): void {
    this.held = this.held.filter((one) => one.lsn > lsn);
    this.parts.tell(lsn);
  }
}
