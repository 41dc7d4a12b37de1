import type { Log, Position, ServiceContext, TableId } from '@nanosync/core';
import { encodeMessage, fittingPayload, QUARANTINED, tooLargeReason } from '@nanosync/core';
import type { Outbox } from './outbox.ts';

/** A change that is not sent to its topic. */
export interface QuarantinedChange {
  readonly table: TableId;
  readonly epoch: string;
  readonly position: Position;
  readonly reason: string;
  readonly payload: Uint8Array;
}

/** Where a capture session puts the changes that it cannot publish; they wait in the same outbox as the others. */
export class ChangeQuarantine {
  private readonly topic: string;
  private readonly schemaId: number;
  private readonly maxMessageBytes: number;
  private readonly outbox: Outbox;
  private readonly log: Log;
  /** Changes since the last flush, by what the log says of them. */
  private readonly rejections = new Map<string, { readonly table: TableId; readonly reason: string; changes: number }>();

  /** `schemaId` is that of {@link QUARANTINED}. */
  constructor(ctx: ServiceContext, pipeline: string, outbox: Outbox, schemaId: number) {
    this.topic = ctx.topics.quarantine(pipeline);
    this.schemaId = schemaId;
    this.maxMessageBytes = ctx.bus.maxMessageBytes;
    this.outbox = outbox;
    this.log = ctx.log;
  }

  /** Why a message cannot be sent, or undefined when it can. */
  reasonAgainst(key: Uint8Array, value: Uint8Array): string | undefined {
    return key.length + value.length > this.maxMessageBytes ? tooLargeReason('change', this.maxMessageBytes) : undefined;
  }

  add({ table, epoch, position, reason, payload }: QuarantinedChange): void {
    const kept = fittingPayload(payload, this.maxMessageBytes);
    const value = encodeMessage(QUARANTINED, this.schemaId, { table, epoch, origin: position, reason, payload: kept });
    this.outbox.add(this.topic, 0, Buffer.from(table), value);
    const known = this.rejections.get(`${table} ${reason}`);
    if (known === undefined) this.rejections.set(`${table} ${reason}`, { table, reason, changes: 1 });
    else known.changes++;
  }

  /** One line for each reason, however many changes: why rows are missing must be readable without the quarantine topic. */
  flushed(): void {
    for (const rejected of this.rejections.values()) this.log.warn('changes quarantined', { ...rejected });
    this.rejections.clear();
  }
}
