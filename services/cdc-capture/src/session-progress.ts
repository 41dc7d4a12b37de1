import type { CaptureRecord, CaptureTable, Failure, OverlapCounts, Position, SourceEvent, TableId } from '@nanosync/core';
import { comparePositions, PipelineError } from '@nanosync/core';
import { freshTable } from './capture-record.ts';

/** An idle source moves the stored position at most this often, in milliseconds. */
const IDLE_STORE_MS = 1000;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Working = Mutable<Omit<CaptureTable, 'overlap'>> & { overlap: Mutable<OverlapCounts> };

/**
 * What a session has taken in, published and stored. `record` is what the next store writes: it only ever says "published" of
 * what the bus has acknowledged, because the session stores right after each flush.
 */
export class SessionProgress {
  private readonly start: CaptureRecord;
  private readonly tables = new Map<TableId, Working>();
  private readonly dirty = new Set<TableId>();
  private reached: Position;
  private safe: Position;
  private ends: CaptureRecord['ends'];
  private topics: CaptureRecord['topics'];
  private events = 0;
  private lastCommitMs: number;
  private unstored = false;
  private lastStoredMs = Number.NEGATIVE_INFINITY;
  private toAcknowledge: 'none' | 'taken in' | 'stored' = 'none';
  private idleAt: Position | undefined;

  constructor(record: CaptureRecord) {
    this.start = record;
    this.reached = record.published;
    this.safe = record.acknowledged;
    this.ends = record.ends;
    this.topics = record.topics;
    this.lastCommitMs = record.lastCommitMs;
    for (const [table, value] of Object.entries(record.tables)) {
      this.tables.set(table as TableId, { ...value, overlap: { ...value.overlap } });
      this.dirty.add(table as TableId); // An earlier session may have ended before it published the watermark.
    }
  }

  /** What a store writes now. */
  get record(): CaptureRecord {
    return {
      ...this.start,
      published: this.reached,
      acknowledged: this.safe,
      ends: this.ends,
      topics: this.topics,
      tables: Object.fromEntries([...this.tables].map(([table, value]) => [table, { ...value, overlap: { ...value.overlap } }])),
      eventsPublished: this.start.eventsPublished + this.events,
      lastCommitMs: this.lastCommitMs,
    };
  }

  /** The last place at which nothing was in flight, if nothing was taken in since. */
  get idlePosition(): Position | undefined {
    return this.idleAt;
  }

  /** True when a table had events since its last watermark and the source is idle. */
  get hasDirtyTables(): boolean {
    return this.dirty.size > 0 && this.idleAt !== undefined;
  }

  /** True when an idle position was taken in and not stored yet; a server that shuts down waits for its acknowledgement. */
  get hasUnstoredIdle(): boolean {
    return this.toAcknowledge === 'taken in';
  }

  dirtyTables(): readonly TableId[] {
    return [...this.dirty];
  }

  /** True for what an earlier session published and stored. */
  isPublished(position: Position): boolean {
    return comparePositions(position, this.start.published) <= 0;
  }

  isBelowL1(table: TableId): boolean {
    return (this.tables.get(table)?.l1 ?? null) === null;
  }

  hasTable(table: TableId): boolean {
    return this.tables.has(table);
  }

  /**
   * True at a position behind the table's generation event, also where an earlier session met it, and before its end where it is being taken out:
   * every session says the same of a position.
   */
  hasBegun(table: TableId, position: Position): boolean {
    if (this.hasEnded(table, position)) return false;
    const l0 = this.tables.get(table)?.l0;
    return l0 !== undefined && comparePositions(l0, position) <= 0;
  }

  /** True from the end on of a table that is being taken out. */
  hasEnded(table: TableId, position: Position): boolean {
    const end = this.start.left?.[table];
    // Invariant 'gapless-sessions': what counts in a transaction is settled before any of it is published.
    return end !== undefined && comparePositions(position, end) >= 0;
  }

  /** The table from its generation event on; a change before that is impossible. */
  table(table: TableId): Readonly<CaptureTable> {
    return this.working(table);
  }

  /** All tables that have met their generation event. */
  tableIds(): readonly TableId[] {
    return [...this.tables.keys()];
  }

  /** An event that is for no generation. */
  passedOver(position: Position): void {
    this.moveTo(position);
  }

  beginTable(table: TableId, epoch: string, l0: Position): void {
    const before = this.tables.get(table);
    const fresh = freshTable(epoch, l0);
    // An epoch that was begun before may go on at the sink: what it lacks is still counted.
    const quarantinedBefore = (before?.quarantinedBefore ?? 0) + (before?.quarantined ?? 0);
    this.tables.set(table, { ...fresh, changes: before?.changes ?? 0, overlap: { ...fresh.overlap }, quarantinedBefore });
    this.at(table, l0);
  }

  /** The table's L1 is here. */
  consistent(table: TableId, l1: Position): void {
    this.working(table).l1 = l1;
    this.at(table, l1);
  }

  /** The table's changes end here, for this reason. */
  tableFailed(table: TableId, failure: Failure, position: Position): void {
    this.working(table).failure = failure;
    this.at(table, position);
  }

  /** A change went to quarantine instead of its topic. */
  quarantined(table: TableId, position: Position): void {
    this.working(table).quarantined++;
    this.at(table, position);
  }

  /** Counts one change that has been handed to the publisher. */
  changed(event: SourceEvent & { readonly kind: 'change' | 'truncate' }): void {
    const table = this.working(event.table);
    table.changes++;
    if (table.l1 === null) countOverlap(table.overlap, event);
    this.at(event.table, event.position);
  }

  /** The table's watermark has been handed to the publisher. */
  watermarked(table: TableId): void {
    this.dirty.delete(table);
    this.unstored = true;
  }

  commit(position: Position, acknowledge: Position, commitMs: number): void {
    this.idleAt = undefined;
    this.moveTo(position);
    this.safe = acknowledge;
    this.toAcknowledge = 'taken in';
    this.lastCommitMs = Math.max(this.lastCommitMs, commitMs);
  }

  idle(position: Position): void {
    this.idleAt = position;
    this.moveTo(position);
    this.safe = position;
    this.toAcknowledge = 'taken in';
  }

  /** The bus has acknowledged everything handed to the publisher. */
  published(sent: { readonly ends: CaptureRecord['ends']; readonly topics: CaptureRecord['topics']; readonly events: number }): void {
    this.ends = { ...this.ends, ...sent.ends };
    this.topics = { ...this.topics, ...sent.topics };
    this.events += sent.events;
    this.unstored = true;
  }

  /** True when something was published since the last store, or when only idle positions moved and a while has passed. */
  shouldStore(nowMs: number): boolean {
    if (this.unstored) return true;
    return this.toAcknowledge === 'taken in' && nowMs - this.lastStoredMs >= IDLE_STORE_MS;
  }

  stored(nowMs: number): void {
    this.unstored = false;
    this.lastStoredMs = nowMs;
    if (this.toAcknowledge === 'taken in') this.toAcknowledge = 'stored';
  }

  /** The value that may now be acknowledged to the source, once. */
  takeAcknowledgement(): Position | undefined {
    // Invariant 'publish-then-acknowledge': the state store knows it before the source forgets it.
    if (this.toAcknowledge !== 'stored') return undefined;
    this.toAcknowledge = 'none';
    return this.safe;
  }

  private working(table: TableId): Working {
    const found = this.tables.get(table);
    if (found === undefined) throw new PipelineError('defect', `A change of ${table} came before its generation event.`);
    return found;
  }

  private at(table: TableId, position: Position): void {
    this.dirty.add(table);
    this.idleAt = undefined;
    this.unstored = true;
    this.moveTo(position);
  }

  private moveTo(position: Position): void {
    if (comparePositions(position, this.reached) > 0) this.reached = position;
  }
}

function countOverlap(counts: Mutable<OverlapCounts>, event: SourceEvent & { readonly kind: 'change' | 'truncate' }): void {
  if (event.kind === 'truncate') {
    counts.truncates++;
    return;
  }
  if (event.completed) counts.completed++;
  if (event.keyChange) {
    if (event.op === 'd') counts.keyChanges++; // Two events; counted once, at the delete half.
    return;
  }
  if (event.op === 'c') counts.inserts++;
  else if (event.op === 'u') counts.updates++;
  else counts.deletes++;
}
