import type { PipelineIntent } from '@nanosync/core';

/** Services look every 250 ms whether they are still wanted; what they are doing then ends within this, in virtual milliseconds. */
const ENDS_WITHIN_MS = 1200;

/** Watches that nothing is read while a pipeline is paused, and nothing is written while its sink is. */
export class RestOracle {
  private readonly nowMs: () => number;
  private readonly violated: (what: string) => void;
  private runPausedMs: number | undefined;
  private sinkPausedMs: number | undefined;

  constructor(parts: { readonly nowMs: () => number; readonly violated: (what: string) => void }) {
    this.nowMs = parts.nowMs;
    this.violated = parts.violated;
  }

  /** What is wanted of the pipeline now; undefined where it is not stored. */
  wanted(intent: PipelineIntent | undefined): void {
    this.runPausedMs = intent?.run === 'paused' ? (this.runPausedMs ?? this.nowMs()) : undefined;
    this.sinkPausedMs = intent?.sink === 'paused' ? (this.sinkPausedMs ?? this.nowMs()) : undefined;
  }

  /** The source is read. */
  read(what: string): void {
    if (this.isLong(this.runPausedMs)) this.violated(`the source was read (${what}) although the pipeline had been paused for long`);
  }

  /** The sink is written. */
  wrote(what: string): void {
    if (this.isLong(this.sinkPausedMs)) this.violated(`the sink was written (${what}) although it had been paused for long`);
  }

  private isLong(sinceMs: number | undefined): boolean {
    return sinceMs !== undefined && this.nowMs() - sinceMs > ENDS_WITHIN_MS;
  }
}
