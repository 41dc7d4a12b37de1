import type { Failure, Position, ServiceContext, SinkReport } from '@nanosync/core';
import { RECORD_VERSION, readRecord, stateKeys } from '@nanosync/core';

/** A live table's report is stored at most this often, in milliseconds; steps are stored at once. */
const REPORT_EVERY_MS = 200;
/** It is stored again after this time although nothing changed: a state store that lost its newest writes must learn of it again. */
const REPEAT_EVERY_MS = 5000;

/** Tells the state store how far a table is at the sink. For display and for the planner's steps; never read back as truth. */
export class TableReport {
  private readonly ctx: ServiceContext;
  private readonly key: string;
  private current: SinkReport | undefined;
  private unsent = false;
  private lastSentMs = Number.NEGATIVE_INFINITY;

  constructor(ctx: ServiceContext, pipeline: string, table: string) {
    this.ctx = ctx;
    this.key = stateKeys.sinkReport(pipeline, table);
  }

  /** True when figures that are set now are sent at once. */
  get isDue(): boolean {
    return this.ctx.clock.monotonicMs() - this.lastSentMs >= REPORT_EVERY_MS;
  }

  /** Starts the report of an epoch; figures of another epoch are forgotten, figures of the same one go on. */
  async begin(epoch: string): Promise<void> {
    const stored = (await readRecord<SinkReport>(this.ctx.state, this.key))?.value;
    this.current = stored?.epoch === epoch ? { ...stored, failure: null } : emptyReport(epoch);
    await this.send();
  }

  /** Changes figures; sent now when `now`, else soon. */
  async set(change: Partial<SinkReport>, now = false): Promise<void> {
    if (this.current === undefined) return;
    const before = this.current;
    this.current = { ...before, ...change };
    this.unsent ||= JSON.stringify(before) !== JSON.stringify(this.current);
    if (now || this.isDue) await this.flush();
  }

  /** Sends what was held back, or all of it again after a while. */
  async flush(): Promise<void> {
    const isOld = this.ctx.clock.monotonicMs() - this.lastSentMs >= REPEAT_EVERY_MS;
    if (this.unsent || (isOld && this.current !== undefined)) await this.send();
  }

  async fail(failure: Failure): Promise<void> {
    this.current ??= emptyReport('');
    this.current = { ...this.current, failure };
    await this.send();
  }

  get watermark(): Position | null {
    return this.current?.watermark ?? null;
  }

  private async send(): Promise<void> {
    this.unsent = false;
    this.lastSentMs = this.ctx.clock.monotonicMs();
    for (;;) {
      const stored = await this.ctx.state.get(this.key);
      if ((await this.ctx.state.put(this.key, this.current, stored?.version ?? 0)) !== undefined) return;
    }
  }
}

function emptyReport(epoch: string): SinkReport {
  return {
    v: RECORD_VERSION,
    epoch,
    built: false,
    rowsBuilt: 0,
    rowsStaged: 0,
    partitionsDurable: 0,
    watermark: null,
    changesApplied: 0,
    waiting: 0,
    waitedAtHandoff: 0,
    quarantined: 0,
    defects: 0,
    lastAppliedMs: 0,
    failure: null,
  };
}
