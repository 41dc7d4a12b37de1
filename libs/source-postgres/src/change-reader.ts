import { setImmediate as yieldToSocket } from 'node:timers/promises';
import type { ChangeReader, ChangesOptions, Clock, Position, SourceEvent } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { Acknowledgements } from './acknowledge.ts';
import type { Page } from './byte-queue.ts';
import { KEEPALIVE_ENTRY, readEntries } from './byte-queue.ts';
import type { Chunk } from './chunk.ts';
import { isSpent, newChunk } from './chunk.ts';
import { Completion } from './completion.ts';
import { Confirmations } from './confirmations.ts';
import type { Connect } from './connection.ts';
import type { Hasher } from './hasher.ts';
import { UNKEYED } from './hasher.ts';
import { horizonOf } from './horizon.ts';
import type { Lsn } from './position.ts';
import { lsnOf, positionOfLsn } from './position.ts';
import { ReplicationStream } from './replication-stream.ts';
import { StreamDecoder } from './stream-decoder.ts';
import { tablePlan } from './table-plan.ts';

/** Events that one call of `next` decodes at most; a transaction of any size is delivered in such pieces. */
const MOST_EVENTS = 4096;

/**
 * Starts the change stream. Throws PipelineError: `gap` when slot or publication are gone, `conflict` when another process holds
 * the slot, `unavailable` when the server does not answer.
 */
export async function openChanges(
  connect: Connect,
  options: ChangesOptions,
  { clock, hasher = UNKEYED }: { readonly clock: Clock; readonly hasher?: Hasher },
): Promise<ChangeReader> {
  const { pipeline, signal } = options;
  const { slot, publication } = options.anchor.origin;
  if (slot === undefined || publication === undefined)
    throw new PipelineError('defect', `the anchor of pipeline ${pipeline} names no slot and publication`);
  const plans = options.tables.map((table) => tablePlan(table.schema, table.storage, hasher));
  const tables = plans.map((plan) => ({ oid: plan.storage.oid, name: plan.table }));
  const from = lsnOf(options.from);
  const horizon = await horizonOf(connect, options.from === options.anchor.l0);
  const confirmLater = options.confirm !== undefined;
  const stream = await ReplicationStream.open(connect, { pipeline, slot, publication, tables, from, confirmLater, clock, signal });
  const confirmations = new Confirmations({ clock, options: options.confirm, tell: (lsn) => stream.confirm(lsn) });
  // A session may have stored it just before this one began.
  if (confirmLater) confirmations.add(from);
  return new PostgresChangeReader({
    stream,
    confirmations,
    decoder: new StreamDecoder({ pipeline, plans, complete: options.complete, begun: options.begun ?? (() => true), horizon }),
    completion: new Completion({ connect, clock, horizon }),
    from,
    signal,
  });
}

interface Parts {
  readonly stream: ReplicationStream;
  readonly confirmations: Confirmations;
  readonly decoder: StreamDecoder;
  readonly completion: Completion;
  readonly from: Lsn;
  readonly signal: AbortSignal;
}

/** Decodes queued bytes only as fast as its owner asks for events: what waits, waits as bytes, in the queue and the socket. */
class PostgresChangeReader implements ChangeReader {
  private readonly parts: Parts;
  private readonly acknowledgements: Acknowledgements;
  private page: Page | undefined;
  private pageAt = 0;
  private chunk: Chunk = newChunk();
  /** The end of the log that the last keepalive told while nothing followed it. */
  private idleAt: Lsn | undefined;
  private reading = false;
  private closed = false;
  private readonly onAbort = () => this.close();

  constructor(parts: Parts) {
    this.parts = parts;
    this.acknowledgements = new Acknowledgements(parts.from);
    parts.signal.addEventListener('abort', this.onAbort, { once: true });
    if (parts.signal.aborted) this.close();
  }

  async next(): Promise<readonly SourceEvent[] | undefined> {
    if (this.reading) throw new PipelineError('defect', 'the change stream was read twice at once');
    this.reading = true;
    try {
      return await this.read();
    } catch (error) {
      if (this.closed) return undefined;
      throw error;
    } finally {
      this.reading = false;
    }
  }

  acknowledge(position: Position): void {
    if (!this.acknowledgements.acknowledge(position)) return;
    this.parts.confirmations.add(this.acknowledgements.confirmed);
    // An end of the log that was held back because of this commit may be told now.
    this.parts.stream.notify();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.parts.signal.removeEventListener('abort', this.onAbort);
    this.close();
  }

  private close(): void {
    this.closed = true;
    this.parts.confirmations.close();
    this.parts.stream.close();
    this.parts.completion.close();
  }

  private async read(): Promise<readonly SourceEvent[] | undefined> {
    const { stream, completion } = this.parts;
    while (!this.closed) {
      if (isSpent(this.chunk)) {
        // Once a page, so that neither the socket nor an abort waits for a backlog to be decoded.
        if (this.page === undefined) await yieldToSocket();
        this.chunk = this.decode();
      }
      if (!isSpent(this.chunk)) {
        const events = await completion.ready(this.chunk);
        if (events.length === 0) continue;
        this.offer(events);
        return events;
      }
      const idle = this.idle();
      if (idle !== undefined) return [idle];
      if (this.page === undefined) await stream.wait();
    }
    return undefined;
  }

  /** Decodes the next piece of the oldest page. */
  private decode(): Chunk {
    const { stream, decoder } = this.parts;
    const chunk = newChunk();
    if (this.page === undefined) {
      this.page = stream.take();
      this.pageAt = 0;
    }
    const { page } = this;
    if (page === undefined) return chunk;
    const { bytes } = page;
    this.pageAt = readEntries(page, this.pageAt, (tag, start, end) => {
      if (tag === KEEPALIVE_ENTRY) {
        this.idleAt = decoder.inTransaction ? undefined : bytes.readBigUInt64BE(start);
        return false;
      }
      this.idleAt = undefined;
      return decoder.push(bytes, start, end, chunk) || chunk.events.length >= MOST_EVENTS;
    });
    if (this.pageAt < page.used) return chunk;
    this.page = undefined;
    stream.release(page);
    return chunk;
  }

  /** The end of the log as an event, once nothing before it is on its way: not here, and not unacknowledged. */
  private idle(): SourceEvent | undefined {
    const { acknowledgements } = this;
    const idleAt = this.idleAt;
    if (idleAt === undefined || this.page !== undefined || !acknowledgements.settled) return undefined;
    this.idleAt = undefined;
    if (idleAt <= acknowledgements.last) return undefined;
    acknowledgements.offer('idle', idleAt);
    return { kind: 'idle', position: positionOfLsn(idleAt) };
  }

  private offer(events: readonly SourceEvent[]): void {
    for (const event of events) if (event.kind === 'commit') this.acknowledgements.offer('commit', lsnOf(event.acknowledge));
  }
}
