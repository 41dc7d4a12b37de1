import type {
  Anchor,
  CaptureRecord,
  ControlKind,
  PipelineRecord,
  Position,
  ServiceContext,
  SourceEvent,
  TableId,
  TableRecord,
} from '@nanosync/core';
import {
  busPartitionOf,
  ChangeCodec,
  CONTROL_EVENT,
  encodeMessage,
  measured,
  PipelineError,
  QUARANTINED,
  UNCHANGED,
  unreachable,
  wireHeader,
} from '@nanosync/core';
import { ChangeQuarantine } from './change-quarantine.ts';
import type { Sent } from './outbox.ts';
import { Outbox } from './outbox.ts';
import type { SessionProgress } from './session-progress.ts';
import { unbasedTables } from './unbased-tables.ts';

/** What a control event says besides its table. */
interface Control {
  readonly kind: ControlKind;
  readonly epoch: string;
  readonly position: Position;
  readonly tsMs: number;
  readonly detail: string;
}

interface PublishedTable {
  readonly topic: string;
  readonly partitions: number;
  readonly codec: ChangeCodec;
  readonly header: Uint8Array;
}

/** Turns source events into messages of the right topic and bus partition; `flush` sends them in order. */
export class EventPublisher implements AsyncDisposable {
  private readonly ctx: ServiceContext;
  private readonly pipeline: string;
  private readonly cure: string;
  private readonly origin: { readonly db: string };
  /** The sink was given no rows of these tables, so what it has under a key may be no row that the source ever had. */
  private readonly unbased: ReadonlySet<TableId>;
  private readonly anchor: string;
  private readonly session: number;
  private readonly outbox: Outbox;
  private readonly tables: ReadonlyMap<TableId, PublishedTable>;
  private readonly controlId: number;
  private readonly quarantine: ChangeQuarantine;

  private constructor(parts: {
    ctx: ServiceContext;
    pipeline: string;
    anchor: Anchor;
    session: number;
    outbox: Outbox;
    tables: ReadonlyMap<TableId, PublishedTable>;
    controlId: number;
    quarantine: ChangeQuarantine;
    unbased: ReadonlySet<TableId>;
  }) {
    this.ctx = parts.ctx;
    this.pipeline = parts.pipeline;
    this.cure = `Run: nanosync pipeline resnapshot ${parts.pipeline}`;
    this.origin = { db: parts.anchor.origin.database ?? '' };
    this.anchor = parts.anchor.id;
    this.unbased = parts.unbased;
    this.session = parts.session;
    this.outbox = parts.outbox;
    this.tables = parts.tables;
    this.controlId = parts.controlId;
    this.quarantine = parts.quarantine;
  }

  static async open(
    ctx: ServiceContext,
    pipeline: PipelineRecord,
    anchor: Anchor,
    tables: readonly TableRecord[],
    record: CaptureRecord,
  ): Promise<EventPublisher> {
    const { name } = pipeline.definition;
    const published = new Map<TableId, PublishedTable>();
    for (const { table, schema, busPartitions } of tables) {
      const topic = ctx.topics.changes(name, table);
      const codec = new ChangeCodec(schema);
      const header = wireHeader(await ctx.registry.register(`${topic}-value`, codec.avro));
      published.set(table, { topic, partitions: busPartitions, codec, header });
    }
    const controlId = await ctx.registry.register('nanosync.control-value', CONTROL_EVENT.schema);
    const quarantineId = await ctx.registry.register('nanosync.quarantine-value', QUARANTINED.schema);
    const outbox = await Outbox.open(ctx.bus);
    const { session } = record;
    return new EventPublisher({
      ctx,
      pipeline: name,
      anchor,
      session,
      outbox,
      tables: published,
      controlId,
      unbased: unbasedTables(pipeline, tables),
      quarantine: new ChangeQuarantine(ctx, name, outbox, quarantineId),
    });
  }

  /** True for the tables that the session was opened with. */
  hasTable(table: TableId): boolean {
    return this.tables.has(table);
  }

  /** Encoded bytes that wait for a flush. */
  get bytes(): number {
    return this.outbox.bytes;
  }

  /** Sends what waits; resolves when all of it is durable on the bus. */
  async flush(): Promise<Sent> {
    const { ctx, pipeline, outbox } = this;
    const step = { step: 'publish changes', pipeline, entries: outbox.messages, bytes: outbox.bytes } as const;
    const sent = outbox.messages === 0 ? await outbox.flush() : await measured(ctx, step, () => outbox.flush());
    this.quarantine.flushed();
    return sent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.outbox[Symbol.asyncDispose]();
  }

  /** The events that follow in this table belong to this epoch; a second marker of the same epoch means nothing. */
  generation(table: TableId, epoch: string, position: Position, progress: SessionProgress): void {
    if (progress.hasTable(table) && progress.table(table).epoch === epoch) return;
    progress.beginTable(table, epoch, position);
    this.control(table, { kind: 'generation', epoch, position, tsMs: 0, detail: '' });
  }

  /** Every commit strictly below `position` is in all bus partitions of the table. */
  watermark(table: TableId, position: Position, progress: SessionProgress): void {
    this.control(table, { kind: 'watermark', epoch: progress.table(table).epoch, position, tsMs: 0, detail: '' });
    progress.watermarked(table);
  }

  /** Takes in one event of the stream. The stream delivers nothing of a table before its generation event. */
  event(event: Exclude<SourceEvent, { readonly kind: 'commit' | 'idle' }>, progress: SessionProgress): void {
    switch (event.kind) {
      case 'change':
      case 'truncate':
        return this.change(event, progress);
      case 'marker':
        return this.marker(event, progress);
      case 'schema':
        return this.schema(event, progress);
      case 'rejected':
        return this.rejected(event, progress);
      default:
        return unreachable(event);
    }
  }

  private change(event: SourceEvent & { readonly kind: 'change' | 'truncate' }, progress: SessionProgress): void {
    const target = this.target(event.table);
    const { epoch } = progress.table(event.table);
    const common = {
      table: event.table,
      position: event.position,
      epoch,
      session: this.session,
      txId: event.txId,
      commitMs: event.commitMs,
    };
    if (event.kind === 'truncate') {
      const value = target.codec.encode({ ...common, op: 't', before: null, after: null, rowless: false }, target.header, this.origin);
      for (let partition = 0; partition < target.partitions; partition++) this.outbox.add(target.topic, partition, EMPTY_KEY, value);
    } else {
      const { op, before, after, rowless } = this.unbased.has(event.table) ? wholly(event) : event;
      const keyed = op === 'd' ? before : after;
      if (keyed === null) throw new PipelineError('defect', `A change of ${event.table} carries no row.`);
      const key = target.codec.key(keyed);
      const value = target.codec.encode({ ...common, op, before, after, rowless }, target.header, this.origin);
      const reason = this.quarantine.reasonAgainst(key, value);
      if (reason !== undefined) return this.rejected({ ...event, reason, payload: value }, progress);
      this.outbox.add(target.topic, busPartitionOf(key, target.partitions), key, value);
    }
    progress.changed(event);
  }

  private marker({ marker, position }: SourceEvent & { readonly kind: 'marker' }, progress: SessionProgress): void {
    if (marker.kind === 'watermark') {
      for (const table of progress.tableIds()) this.watermark(table, position, progress);
      return;
    }
    if (!this.tables.has(marker.table)) return;
    if (progress.hasEnded(marker.table, position)) return progress.passedOver(position);
    if (marker.kind === 'generation') return this.generation(marker.table, marker.epoch, position, progress);
    if (!progress.hasTable(marker.table)) return progress.passedOver(position);
    const table = progress.table(marker.table);
    if (table.epoch !== marker.epoch || table.l1 !== null) return; // Of a voided epoch, or said twice after a crash.
    progress.consistent(marker.table, position);
    this.control(marker.table, { kind: 'consistency', epoch: marker.epoch, position, tsMs: 0, detail: '' });
  }

  private schema({ table, position, reason }: SourceEvent & { readonly kind: 'schema' }, progress: SessionProgress): void {
    const { epoch, failure } = progress.table(table);
    if (failure !== null) return;
    const sentence = `Table ${table} is no longer as it was copied: ${reason}.`;
    progress.tableFailed(table, { reason: sentence, cure: this.cure }, position);
    this.control(table, { kind: 'schema', epoch, position, tsMs: 0, detail: sentence });
  }

  /** Not sent to its topic, and counted: what comes after it goes on. */
  private rejected(
    { table, position, reason, payload }: Omit<SourceEvent & { readonly kind: 'rejected' }, 'kind' | 'commitMs'>,
    progress: SessionProgress,
  ): void {
    const { epoch } = progress.table(table);
    // Invariant 'nothing-skipped': published and counted; what comes after it goes on.
    this.quarantine.add({ table, epoch, position, reason, payload });
    progress.quarantined(table, position);
  }

  private control(table: TableId, { kind, epoch, position, tsMs, detail }: Control): void {
    const { topic, partitions } = this.target(table);
    const value = encodeMessage(CONTROL_EVENT, this.controlId, {
      kind,
      table,
      anchor: this.anchor,
      epoch,
      position,
      session: this.session,
      tsMs,
      detail,
    });
    for (let partition = 0; partition < partitions; partition++) this.outbox.add(topic, partition, EMPTY_KEY, value);
  }

  private target(table: TableId): PublishedTable {
    const target = this.tables.get(table);
    if (target === undefined)
      throw new PipelineError('defect', `Pipeline ${this.pipeline} got a change of ${table}, which is not its table.`);
    return target;
  }
}

/** Control events and truncations concern no single row. */
const EMPTY_KEY = Buffer.alloc(0);

type Change = SourceEvent & { readonly kind: 'change' };

/**
 * Cells that the log leaves out cannot be taken from a row that the source did not have. Where they could not be read any more the row is gone, and
 * its delete follows: so it goes now.
 */
function wholly({ op, before, after, rowless }: Change): Pick<Change, 'op' | 'before' | 'after' | 'rowless'> {
  if (!rowless || op === 'd' || after === null) return { op, before, after, rowless };
  // Invariant 'complete-images': no row is made of the cells of two.
  return { op: 'd', before: after.map((cell) => (cell === UNCHANGED ? null : cell)), after: null, rowless: false };
}
