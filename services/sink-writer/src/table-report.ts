import type { Failure, OlderReport, Position, ServiceContext, SinkReport, TableRecord } from '@nanosync/core';
import { PipelineError, putOf, RECORD_VERSION, readRecord, stateKeys } from '@nanosync/core';

/** A live table's report is stored at most this often, in milliseconds; steps are stored at once. */
const REPORT_EVERY_MS = 200;
/** It is stored again after this time although nothing changed: a state store that lost its newest writes must learn of it again. */
const REPEAT_EVERY_MS = 5000;

/** What an applier says of its generation. */
export interface GenerationReport {
  /** True when figures that are set now are sent at once. */
  readonly isDue: boolean;
  /** Changes figures; sent now when `now`, else soon. */
  set(change: Partial<SinkReport>, now?: boolean): Promise<void>;
  /** Sends what was held back, or all of it again after a while. */
  flush(): Promise<void>;
}

/**
 * Tells the state store how far a table is at the sink. For display and for the planner's steps; never read back as truth. Whoever began last
 * alone tells: a writer that was stopped for long must not tell what was true before another one took the table over.
 */
export class TableReport implements GenerationReport {
  private readonly ctx: ServiceContext;
  private readonly pipeline: string;
  private readonly key: string;
  private readonly writer: string;
  private current: SinkReport | undefined;
  private unsent = false;
  private lastSentMs = Number.NEGATIVE_INFINITY;

  constructor(ctx: ServiceContext, pipeline: string, table: string) {
    this.ctx = ctx;
    this.pipeline = pipeline;
    this.key = stateKeys.sinkReport(pipeline, table);
    this.writer = ctx.ids.next();
  }

  /** True when figures that are set now are sent at once. */
  get isDue(): boolean {
    return this.ctx.clock.monotonicMs() - this.lastSentMs >= REPORT_EVERY_MS;
  }

  /**
   * Starts the report of an epoch under this writer, with the older one that goes on beside it; figures of other epochs are forgotten, figures
   * of the same ones go on.
   */
  async begin(epoch: string, older: string | null = null): Promise<void> {
    this.sending();
    this.current = await writeReport(this.ctx, this.pipeline, this.key, (stored) => ({
      ...(stored?.epoch === epoch ? stored : emptyReport(epoch)),
      older: older === null ? null : olderOf(stored, older),
      failure: null,
      writer: this.writer,
    }));
  }

  /** The part of the report that is about the older generation. */
  older(): GenerationReport & { fail(failure: Failure): Promise<void> } {
    let sentMs = Number.NEGATIVE_INFINITY;
    const isDue = () => this.ctx.clock.monotonicMs() - sentMs >= REPORT_EVERY_MS;
    const set = async (change: Partial<SinkReport>, now = false) => {
      const older = this.current?.older ?? null;
      if (older === null) return;
      sentMs = this.ctx.clock.monotonicMs();
      await this.set({ older: olderFigures({ ...older, ...change }) }, now);
    };
    return {
      get isDue() {
        return isDue();
      },
      set,
      flush: () => this.flush(),
      fail: (failure) => set({ failure }, true),
    };
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
    if (this.current === undefined) throw new PipelineError('defect', 'A table has failed before its report began.');
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
    if (this.current === undefined) return;
    await writeReport(this.ctx, this.pipeline, this.key, (stored) => {
      // As it is when it is written: two generations of the table tell beside one another.
      const { current } = this;
      if (current === undefined) return undefined;
      if (stored?.writer !== this.writer)
        throw new PipelineError('conflict', 'The state store knows another writer of the table, or has lost what this one told it.');
      // What others said of this epoch stays; what was said late of an earlier one is over.
      return { ...current, failure: current.failure ?? (stored.epoch === current.epoch ? stored.failure : null) };
    });
  }
}

/** Says at a table, whoever writes it, why nothing more of this epoch can be written. Of another epoch than the stored one nothing is said. */
export async function reportFailure(
  ctx: ServiceContext,
  { pipeline, table, epoch }: { readonly pipeline: string; readonly table: string; readonly epoch: string },
  failure: Failure,
): Promise<void> {
  await writeReport(ctx, pipeline, stateKeys.sinkReport(pipeline, table), async (stored) => {
    if (stored?.epoch === epoch) return { ...stored, failure };
    // Asked after the report was read: who comes with a later epoch writes it only then, and this write is beaten.
    const now = (await readRecord<TableRecord>(ctx.state, stateKeys.table(pipeline, table)))?.value;
    return now?.epoch === epoch ? { ...emptyReport(epoch), writer: stored?.writer ?? '', failure } : undefined;
  });
}

/** Writes what `change` makes of the stored report, again on the newest one until it is not beaten; nothing where it makes nothing. */
async function writeReport<T extends SinkReport | undefined>(
  ctx: ServiceContext,
  pipeline: string,
  key: string,
  change: (stored: SinkReport | undefined) => T | Promise<T>,
): Promise<T> {
  for (;;) {
    const stored = await readRecord<SinkReport>(ctx.state, key);
    const value = await change(stored?.value);
    if (value === undefined) return value;
    if ((await putOf(ctx.state, pipeline, key, value, stored?.version ?? 0)) !== undefined) return value;
    if (stored === undefined && (await ctx.state.get(stateKeys.pipeline(pipeline))) === undefined)
      throw new PipelineError('conflict', `Pipeline ${pipeline} is gone from the state store.`);
  }
}

/** What is known of an older generation: as it was reported while it was the only one, or beside an epoch that was given up. */
function olderOf(stored: SinkReport | undefined, epoch: string): OlderReport {
  const known = stored?.epoch === epoch ? stored : stored?.older?.epoch === epoch ? stored.older : emptyReport(epoch);
  return { ...olderFigures(known), failure: null };
}

function olderFigures(figures: OlderReport): OlderReport {
  const { epoch, rowsBuilt, watermark, bus, changesApplied, waiting, quarantined, defects, lastAppliedMs, failure } = figures;
  const known = { epoch, rowsBuilt, watermark, changesApplied, waiting, quarantined, defects, lastAppliedMs, failure };
  return bus === undefined ? known : { ...known, bus };
}

function emptyReport(epoch: string): SinkReport {
  return {
    v: RECORD_VERSION,
    epoch,
    writer: '',
    built: false,
    current: false,
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
    older: null,
    failure: null,
  };
}
