import type { Failure, Position, ServiceContext, SinkReport } from '@nanosync/core';
import { PipelineError, RECORD_VERSION, readRecord, stateKeys } from '@nanosync/core';

/** A live table's report is stored at most this often, in milliseconds; steps are stored at once. */
const REPORT_EVERY_MS = 200;
/** It is stored again after this time although nothing changed: a state store that lost its newest writes must learn of it again. */
const REPEAT_EVERY_MS = 5000;

/**
 * Tells the state store how far a table is at the sink. For display and for the planner's steps; never read back as truth. Whoever began last
 * alone tells: a writer that was stopped for long must not tell what was true before another one took the table over.
 */
export class TableReport {
  private readonly ctx: ServiceContext;
  private readonly key: string;
  private readonly writer: string;
  private current: SinkReport | undefined;
  private unsent = false;
  private lastSentMs = Number.NEGATIVE_INFINITY;

  constructor(ctx: ServiceContext, pipeline: string, table: string) {
    this.ctx = ctx;
    this.key = stateKeys.sinkReport(pipeline, table);
    this.writer = ctx.ids.next();
  }

  /** True when figures that are set now are sent at once. */
  get isDue(): boolean {
    return this.ctx.clock.monotonicMs() - this.lastSentMs >= REPORT_EVERY_MS;
  }

  /** Starts the report of an epoch under this writer; figures of another epoch are forgotten, figures of the same one go on. */
  async begin(epoch: string): Promise<void> {
    this.sending();
    this.current = await writeReport(this.ctx, this.key, (stored) => ({
      ...(stored?.epoch === epoch ? stored : emptyReport(epoch)),
      failure: null,
      writer: this.writer,
    }));
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

  /** Says why nothing more of the table is written. */
  async fail(failure: Failure): Promise<void> {
    if (this.current === undefined) return;
    this.current = { ...this.current, failure };
    await this.send();
  }

  get watermark(): Position | null {
    return this.current?.watermark ?? null;
  }

  private sending(): void {
    this.unsent = false;
    this.lastSentMs = this.ctx.clock.monotonicMs();
  }

  private async send(): Promise<void> {
    this.sending();
    const { current } = this;
    if (current === undefined) return;
    await writeReport(this.ctx, this.key, (stored) => {
      if (stored?.writer !== this.writer)
        throw new PipelineError('conflict', 'The state store knows another writer of the table, or has lost what this one told it.');
      return { ...current, failure: current.failure ?? stored.failure };
    });
  }
}

/** Says at a table, whoever writes it, why nothing more of its epoch can be written. */
export async function reportFailure(
  ctx: ServiceContext,
  { pipeline, table, epoch }: { readonly pipeline: string; readonly table: string; readonly epoch: string },
  failure: Failure,
): Promise<void> {
  await writeReport(ctx, stateKeys.sinkReport(pipeline, table), (stored) => ({
    ...(stored?.epoch === epoch ? stored : { ...emptyReport(epoch), writer: stored?.writer ?? '' }),
    failure,
  }));
}

async function writeReport(ctx: ServiceContext, key: string, change: (stored: SinkReport | undefined) => SinkReport): Promise<SinkReport> {
  for (;;) {
    const stored = await readRecord<SinkReport>(ctx.state, key);
    const value = change(stored?.value);
    if ((await ctx.state.put(key, value, stored?.version ?? 0)) !== undefined) return value;
  }
}

function emptyReport(epoch: string): SinkReport {
  return {
    v: RECORD_VERSION,
    epoch,
    writer: '',
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
