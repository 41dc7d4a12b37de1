import type { ChangeReader, ChangesOptions, Clock, Position, SourceEvent, TableId } from '@nanosync/core';
import { PipelineError, positionOf, sectionsOf } from '@nanosync/core';
import { ModelCompletion } from './completion.ts';
import { ModelConfirmations } from './confirmations.ts';
import type { ModelDatabase, ModelSlot } from './database.ts';
import type { Pending } from './decode.ts';
import { decode } from './decode.ts';
import { sentEvent } from './kept-back.ts';
import { Published } from './published.ts';
import type { ModelTable } from './table.ts';

/** How long a stream that has delivered everything waits before the server tells it where the log ends. */
const KEEPALIVE_MS = 10;
/** Events of one call at most, unless it is all there is: a large transaction comes in pieces. */
const MOST_EVENTS = 12;
/** How long a slot may still be held by a reader that just died. */
const SLOT_TRIES = 100;
const SLOT_RETRY_MS = 50;

/** What a stream of the model is made of. */
export interface StreamParts {
  readonly db: ModelDatabase;
  readonly options: ChangesOptions;
  readonly clock: Clock;
  /** Aborted when the process's connections are cut. */
  readonly connection: AbortSignal;
}

/** Opens the stream as the real source does: publication and slot are checked, and a slot that is held is waited for a little. */
export async function openModelChanges(parts: StreamParts): Promise<ChangeReader> {
  const { db, options, clock, connection } = parts;
  for (let tries = 0; ; tries++) {
    if (connection.aborted || options.signal.aborted) throw new PipelineError('unavailable', 'The change stream was given up.');
    db.reach();
    const missing = options.tables.find(({ schema }) => !db.isPublished(schema.table) || db.find(schema.table) === undefined);
    if (missing !== undefined) throw gap(options, `The publication does not publish the table ${missing.schema.table} any more.`);
    const slot = db.slots.get(options.anchor.origin.slot ?? '');
    if (slot === undefined) throw gap(options, 'The replication slot is gone.');
    if (slot.holder === null) return new ModelChangeReader(parts, slot);
    if (tries === SLOT_TRIES) throw new PipelineError('conflict', 'Another process streams from the replication slot.');
    await clock.sleep(SLOT_RETRY_MS, options.signal);
  }
}

function gap({ pipeline }: ChangesOptions, reason: string): PipelineError {
  return new PipelineError('gap', reason, { hint: `Run: nanosync pipeline resnapshot ${pipeline}` });
}

/** Streams the model's log from the slot: sometimes all that is there in a call, sometimes a transaction in pieces. */
class ModelChangeReader implements ChangeReader {
  private readonly db: ModelDatabase;
  private readonly slot: ModelSlot;
  private readonly options: ChangesOptions;
  private readonly clock: Clock;
  private readonly connection: AbortSignal;
  private readonly closing = new AbortController();
  /** Ends the wait that is under way. */
  private nap: AbortController | undefined;
  private readonly completion: ModelCompletion;
  private readonly confirmations: ModelConfirmations;
  private readonly published = new Published();
  private readonly queue: Pending[] = [];
  /** The next transaction of the log to decode, and the one that is being decoded. */
  private nextAt = 0;
  private open: Generator<Pending> | undefined;
  /** Where the log ended for this stream when the server or the network ended it; what arrived before is still delivered. */
  private received: number | undefined;
  private readonly offered = new Set<bigint>();
  private last: bigint;
  private confirmed: bigint;
  private waiting: bigint | undefined;
  private keepalive: bigint | undefined;
  private readonly tables: ReadonlyMap<TableId, ModelTable | undefined>;
  private readonly holder = { ended: () => this.broken() };
  private readonly onAbort = () => this.close();
  private readonly onCut = () => this.cut();

  constructor({ db, options, clock, connection }: StreamParts, slot: ModelSlot) {
    this.db = db;
    this.slot = slot;
    this.options = options;
    this.clock = clock;
    this.connection = connection;
    this.tables = new Map(options.tables.map(({ schema }) => [schema.table, db.find(schema.table)]));
    const from = sectionsOf(options.from)[0] as bigint;
    const begin = from > slot.confirmed ? from : slot.confirmed;
    const first = db.log.findIndex(({ lsn }) => lsn >= begin);
    this.nextAt = first < 0 ? db.log.length : first;
    [this.last, this.confirmed] = [from, from];
    const horizon = options.from === options.anchor.l0 ? 0n : db.end;
    this.completion = new ModelCompletion({ db, clock, closing: this.closing.signal, horizon, connected: () => this.connected() });
    this.confirmations = new ModelConfirmations({ clock, options: options.confirm, tell: (lsn) => this.tell(lsn) });
    slot.holder = this.holder;
    options.signal.addEventListener('abort', this.onAbort, { once: true });
    connection.addEventListener('abort', this.onCut, { once: true });
    this.confirmations.add(from);
  }

  async next(): Promise<readonly SourceEvent[] | undefined> {
    while (!this.closing.signal.aborted) {
      if (this.queue.length === 0) this.decode();
      if (this.queue.length > 0) {
        const events = (await this.completion.ready(this.queue)).flatMap(({ event }) => (event === undefined ? [] : this.sent(event)));
        if (this.closing.signal.aborted) break;
        if (events.length === 0) continue;
        this.offer(events);
        return events;
      }
      if (this.received !== undefined) throw new PipelineError('unavailable', 'The model ended the change stream.');
      const idle = this.idle();
      if (idle !== undefined) return [idle];
      await this.wait();
    }
    return undefined;
  }

  acknowledge(position: Position): void {
    const [lsn, index] = sectionsOf(position) as [bigint, bigint];
    if (lsn < this.confirmed) return;
    if (index !== 0n || (lsn > this.confirmed && !this.offered.has(lsn)))
      throw new PipelineError('defect', 'a position was acknowledged that no commit or idle event of this stream named');
    for (const offered of this.offered) if (offered <= lsn) this.offered.delete(offered);
    this.confirmed = lsn;
    if (this.waiting !== undefined && this.waiting <= lsn) this.waiting = undefined;
    this.confirmations.add(lsn);
    this.db.wakeUps.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.options.signal.removeEventListener('abort', this.onAbort);
    this.close();
  }

  private sent(event: SourceEvent): SourceEvent {
    if (event.kind !== 'change') return event;
    const sent = this.options.tables.find(({ schema }) => schema.table === event.table)?.schema;
    return sentEvent(this.tables.get(event.table), sent, event);
  }

  private close(): void {
    this.closing.abort();
    this.nap?.abort('closed');
    this.confirmations.close();
    this.connection.removeEventListener('abort', this.onCut);
    this.letGo();
  }

  private cut(): void {
    this.letGo();
    this.broken();
  }

  private letGo(): void {
    if (this.slot.holder === this.holder) this.slot.holder = null;
  }

  /** Of what is in the log now some more had arrived. */
  private broken(): void {
    if (this.received !== undefined) return;
    const { db } = this;
    this.received = db.log.length - Math.floor(db.random() * (db.log.length - this.nextAt + 1));
    this.confirmations.close();
    db.wakeUps.wake();
  }

  private connected(): void {
    if (this.connection.aborted) throw new PipelineError('unavailable', 'The model closed the connection.');
    this.db.reach();
  }

  private tell(lsn: bigint): void {
    if (this.slot.holder === this.holder) this.db.confirm(lsn, this.slot.name);
  }

  /** Decodes the next piece; a marker ends it, because what follows may have to be completed because of it. */
  private decode(): void {
    const { db } = this;
    const chance = db.random();
    const all = chance < 0.25;
    let commits = all ? Number.POSITIVE_INFINITY : 1;
    let events = all ? Number.POSITIVE_INFINITY : chance > 0.75 ? 1 + Math.floor(db.random() * 3) : MOST_EVENTS;
    while (commits > 0 && events > 0) {
      this.open ??= this.begin();
      if (this.open === undefined) return;
      const { value, done } = this.open.next();
      if (done) {
        this.open = undefined;
        continue;
      }
      this.queue.push(value);
      this.keepalive = undefined;
      events--;
      if (value.event?.kind === 'commit') commits--;
      if (value.event?.kind === 'marker') return;
    }
  }

  private begin(): Generator<Pending> | undefined {
    const { db, options, tables } = this;
    for (const end = this.received ?? db.log.length; this.nextAt < end; ) {
      const logged = db.log[this.nextAt++];
      if (logged === undefined) continue;
      const writes = this.published.of(logged, db.altered);
      if (writes.length === 0 && logged.marker === null) continue; // The server skips what is empty.
      const { pipeline, complete, begun = () => true } = options;
      return decode(logged, writes, { pipeline, complete, begun, largeChars: db.largeChars, table: (table) => tables.get(table) });
    }
    return undefined;
  }

  /** The end of the log, once nothing before it is on its way: not here, and not unacknowledged. */
  private idle(): SourceEvent | undefined {
    const keepalive = this.keepalive;
    if (keepalive === undefined || this.waiting !== undefined) return undefined;
    this.keepalive = undefined;
    if (keepalive <= this.last) return undefined;
    this.last = keepalive;
    this.offered.add(keepalive);
    return { kind: 'idle', position: positionOf(keepalive, 0n) };
  }

  private offer(events: readonly SourceEvent[]): void {
    for (const event of events) {
      if (event.kind !== 'commit') continue;
      const lsn = sectionsOf(event.acknowledge)[0] as bigint;
      this.last = lsn;
      this.waiting = lsn;
      this.offered.add(lsn);
    }
  }

  /** Until something is committed; the server says where the log ends when nothing was for a while. */
  private async wait(): Promise<void> {
    const { db } = this;
    const unsaid = this.waiting === undefined && db.end > this.last;
    const nap = new AbortController();
    this.nap = nap;
    const woken = db.wakeUps.next(nap.signal);
    await (unsaid ? Promise.race([woken, this.clock.sleep(KEEPALIVE_MS, nap.signal)]) : woken);
    nap.abort('over'); // Without a reason each wait makes an exception with its stack.
    const caughtUp = this.received === undefined && this.nextAt === db.log.length;
    if (caughtUp && unsaid) this.keepalive = db.end;
  }
}
