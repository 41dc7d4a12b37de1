import type { BusProgress, CaptureRecord, GenerationId, GenerationStatus, Message, Position, TableSchema, TopicInfo } from '@nanosync/core';
import { comparePositions, isBehind, leastPosition, measured, PipelineError, readRecord, sameSchema, stateKeys } from '@nanosync/core';
import { ChangeDecoder } from './change-decoder.ts';
import { bytesOf, gather } from './gather.ts';
import type { PartitionMessages } from './partitions-reader.ts';
import { PartitionsReader } from './partitions-reader.ts';
import type { Step } from './progress-step.ts';
import { takeMessages } from './progress-step.ts';
import { publishQuarantined } from './quarantine.ts';
import type { GenerationReport } from './table-report.ts';
import type { TableWork } from './table-writer.ts';
import { Trimmer } from './trimmer.ts';

/** Bytes read of each bus partition for one batch. */
const READ_BYTES = 2_000_000;
const WAIT_MS = 500;
/** How often an applier that has much to do looks whether the table has got another epoch, in milliseconds. */
const LOOK_EVERY_MS = 500;
/** An older generation waits for the switch once the newer one has no more messages to read than this to be as far. */
const NEAR = 10_000;

/** The generation that users see while another one is to take its place. */
export interface OlderApplier {
  /** How far it is at the sink. */
  readonly progress: readonly BusProgress[];
  /** A batch of it is under way. */
  readonly isApplying: boolean;
  /** Whether it is to apply nothing more. */
  hold(held: boolean): void;
}

interface ApplierParts extends Omit<TableWork, 'report'> {
  readonly generation: GenerationId;
  readonly token: string;
  readonly report: GenerationReport;
  /** The table is wanted in this epoch: it ends when that changes, trims, and takes the name. */
  readonly isWanted: boolean;
  /** The generation whose place it is to take. */
  readonly older?: OlderApplier | undefined;
  /** Waited for before each batch. */
  readonly turn?: () => Promise<void>;
}

/**
 * Applies the changes of one generation from the progress that the sink itself has. Each batch is one transaction there that
 * moves the progress from exactly the offsets it was read at, under this owner's token.
 */
export class ChangeApplier {
  private readonly parts: ApplierParts;
  private readonly topic: string;
  private readonly decoder: ChangeDecoder;
  readonly progress: BusProgress[];
  /** A batch is under way. */
  isApplying = false;
  private readonly trimmer: Trimmer;
  private status: GenerationStatus;
  private lastAppliedMs = 0;
  private lookAtMs = 0;
  private readonly fitting = new Map<TableSchema, boolean>();

  private constructor(parts: ApplierParts, topic: string, decoder: ChangeDecoder, status: GenerationStatus) {
    this.parts = parts;
    this.topic = topic;
    this.decoder = decoder;
    this.status = status;
    this.trimmer = new Trimmer(parts.ctx, topic);
    this.progress = [...status.progress].sort((a, b) => a.busPartition - b.busPartition);
  }

  /** Claims the generation and checks that the bus still has everything from the last applied message on. */
  static async open(parts: ApplierParts): Promise<ChangeApplier> {
    const { ctx, generation, sink, token } = parts;
    const topic = ctx.topics.changes(generation.pipeline, generation.table);
    const status = await sink.claim(generation, token);
    checkBus(await ctx.bus.topic(topic), topic, status, generation.pipeline);
    return new ChangeApplier(parts, topic, await ChangeDecoder.open(ctx), status);
  }

  /** Applies until the signal aborts, the table gets another epoch, an older generation was replaced, or something breaks. */
  async run(): Promise<void> {
    const { ctx, sink } = this.parts;
    const enough = { bytes: sink.pace?.applyBytes ?? READ_BYTES, waitMs: sink.pace?.applyWaitMs ?? 0 };
    const offsets = this.progress.map(({ next }) => next);
    await using reader = await PartitionsReader.open(ctx.bus, this.topic, offsets, { maxBytes: READ_BYTES, signal: ctx.signal });
    await this.report(true);
    while (!ctx.signal.aborted) {
      const read = await gather(reader, { clock: ctx.clock, signal: ctx.signal, idleMs: WAIT_MS }, enough);
      if (read.length > 0) await this.applyInTurn(read);
      if (await this.isSuperseded(read.length === 0)) return;
      const switched = !this.status.current && (await this.switchOver());
      await this.trim();
      await this.report(switched || read.length === 0);
      if (switched && this.parts.older !== undefined) return;
    }
  }

  private async applyInTurn(read: readonly PartitionMessages[]): Promise<void> {
    await this.parts.turn?.();
    if (this.parts.ctx.signal.aborted) return;
    this.isApplying = true;
    try {
      await this.apply(read);
    } finally {
      this.isApplying = false;
    }
  }

  private async apply(read: readonly PartitionMessages[]): Promise<void> {
    const { ctx, generation, sink, token } = this.parts;
    const { schema } = this.status;
    const steps: Step[] = [];
    for (const { busPartition, messages } of read) steps.push(await this.take(busPartition, messages));
    const changes = steps.flatMap((step) => step.changes);
    const request = { generation, owner: token, schema, moves: steps.map((step) => step.move), changes };
    const { pipeline } = generation;
    const bytes = bytesOf(read);
    const applied = await measured(ctx, { step: 'apply', pipeline, entries: changes.length, bytes }, () => sink.apply(request));
    ctx.failpoint('changes-applied');
    for (const { move } of steps) this.progress[move.busPartition] = { ...move, next: move.to };
    this.lastAppliedMs = ctx.clock.nowMs();
    const { status } = this;
    this.status = {
      ...status,
      changesApplied: status.changesApplied + applied.applied,
      quarantined: status.quarantined + applied.quarantined.length,
      defects: status.defects + applied.defects,
    };
    // Invariant 'nothing-skipped': the sink has counted them already.
    await publishQuarantined(ctx, generation, applied.quarantined);
    const stopped = steps.find((step) => step.stop !== null)?.stop;
    if (stopped !== undefined && stopped !== null)
      throw new PipelineError('table-changed', stopped, { hint: `Run: nanosync pipeline resnapshot ${generation.pipeline}` });
  }

  private async take(busPartition: number, messages: readonly Message[]): Promise<Step> {
    const before = this.progress[busPartition];
    if (before === undefined) throw new PipelineError('defect', `There is no progress for bus partition ${busPartition} of ${this.topic}.`);
    const decoded = await this.decoder.all(messages);
    const anchor = this.parts.pipeline.anchor?.id ?? '';
    return takeMessages({ before, decoded, anchor, fits: (schema) => this.fits(schema) });
  }

  /** Each schema of the topic is compared once. */
  private fits(schema: TableSchema): boolean {
    const known = this.fitting.get(schema) ?? sameSchema(schema, this.status.schema);
    this.fitting.set(schema, known);
    return known;
  }

  /** By the L1 that capture stored when it had published it, so that an owner that begins behind L1 knows it too. */
  private async hasReachedL1(): Promise<boolean> {
    const { ctx, generation } = this.parts;
    const capture = (await readRecord<CaptureRecord>(ctx.state, stateKeys.capture(generation.pipeline)))?.value;
    const table = capture?.tables[generation.table];
    const watermark = this.watermark();
    if (table === undefined || table.epoch !== generation.epoch || table.l1 === null || watermark === undefined) return false;
    return comparePositions(watermark, table.l1) >= 0;
  }

  private watermark(): Position | undefined {
    return leastPosition(this.progress.map(({ last }) => last));
  }

  /**
   * Once the generation has reached its L1, and all that the older one has shown: users see it from here on, and the older ones go. The sink looks
   * again in the same step; here it is asked only when it will say yes, and the older one rests while this one catches up with it.
   */
  private async switchOver(): Promise<boolean> {
    const { ctx, generation, sink, older } = this.parts;
    if (!(await this.hasReachedL1())) return false;
    if (older !== undefined) {
      older.hold(distance(this.progress, older.progress) <= NEAR);
      if (older.isApplying || isBehind(this.progress, older.progress)) return false;
    }
    if (!(await sink.switchTo(generation))) return false;
    this.status = { ...this.status, current: true };
    ctx.failpoint('generation-switched');
    ctx.log.info('table switched', { table: generation.table, epoch: generation.epoch });
    return true;
  }

  private async isSuperseded(isIdle: boolean): Promise<boolean> {
    const { ctx, generation, isWanted } = this.parts;
    const nowMs = ctx.clock.monotonicMs();
    if (!isWanted || (!isIdle && nowMs < this.lookAtMs)) return false;
    this.lookAtMs = nowMs + LOOK_EVERY_MS;
    const epoch = await epochOf(this.parts);
    return epoch !== generation.epoch || ctx.signal.aborted;
  }

  /** What any generation still needs stays. A newer epoch is stored before its place in the stream is made, so that is behind these offsets. */
  private async trim(): Promise<void> {
    const { generation, isWanted, older } = this.parts;
    if (!isWanted || !this.trimmer.isDue) return;
    const needed = new Map(older?.progress.map(({ busPartition, next }) => [busPartition, next]));
    // Invariant 'gate': the least of both generations.
    const offsets = this.progress.map(({ busPartition, next }) => Math.min(next, needed.get(busPartition) ?? next));
    if ((await epochOf(this.parts)) === generation.epoch) await this.trimmer.trim(offsets);
  }

  private async report(now: boolean): Promise<void> {
    const { ctx, report } = this.parts;
    if (!now && !report.isDue) return;
    const info = report.isDue ? await ctx.bus.topic(this.topic) : undefined;
    const waiting = info?.partitions.reduce((sum, { end }, index) => sum + Math.max(0, end - (this.progress[index]?.next ?? end)), 0);
    const { changesApplied, quarantined, defects, rowsBuilt, current, without } = this.status;
    await report.set({
      built: true,
      current,
      rowsBuilt,
      ...(without === undefined ? {} : { without }),
      changesApplied,
      quarantined,
      defects,
      watermark: this.watermark() ?? null,
      bus: { topic: this.topic, next: this.progress.map(({ next }) => next), last: this.progress.map(({ last }) => last) },
      ...(this.lastAppliedMs === 0 ? {} : { lastAppliedMs: this.lastAppliedMs }),
      ...(waiting === undefined ? {} : { waiting }),
    });
    if (now) await report.flush();
  }
}

async function epochOf({ ctx, generation }: ApplierParts): Promise<string | undefined> {
  const record = await readRecord<{ readonly epoch: string }>(ctx.state, stateKeys.table(generation.pipeline, generation.table));
  return record?.value.epoch;
}

/** Messages that one generation has still to read to be as far as another one. */
function distance(one: readonly BusProgress[], other: readonly BusProgress[]): number {
  const next = new Map(one.map((part) => [part.busPartition, part.next]));
  return other.reduce((sum, part) => sum + Math.max(0, part.next - (next.get(part.busPartition) ?? 0)), 0);
}

/** Throws `gap` unless it is the same topic, with as many partitions, and the last applied message is still there. */
function checkBus(info: TopicInfo | undefined, topic: string, status: GenerationStatus, pipeline: string): void {
  const hint = `Run: nanosync pipeline resnapshot ${pipeline}`;
  if (info === undefined) throw new PipelineError('gap', `Topic ${topic} is gone.`, { hint });
  // Invariant 'no-silent-gap': the last applied message proves that nothing is missing behind it.
  if (info.id !== status.topicId) throw new PipelineError('gap', `Topic ${topic} was created anew since the table was built.`, { hint });
  if (info.partitions.length !== status.progress.length)
    throw new PipelineError('gap', `Topic ${topic} has ${info.partitions.length} partitions instead of ${status.progress.length}.`, {
      hint,
    });
  for (const { busPartition, next } of status.progress) {
    const range = info.partitions[busPartition];
    if (range === undefined || range.end < next || range.start > Math.max(0, next - 1))
      throw new PipelineError('gap', `Partition ${busPartition} of topic ${topic} no longer has the last applied message.`, { hint });
  }
}
