import type { Marker, Row, TableId } from '@nanosync/core';
import type { Heap, Version } from './heap.ts';
import type { Commit, LoggedWrite } from './log.ts';
import type { ModelTable } from './table.ts';

/** What a transaction needs of its database. */
export interface TransactionHost {
  table(table: TableId): ModelTable;
  isRunning(xid: number): boolean;
  isPublished(table: TableId): boolean;
  newFile(): Heap;
  /** Writes a record of the log and returns where it ends. */
  append(kind: 'write' | 'prepare' | 'abort'): bigint;
  logCommit(commit: Commit): void;
  over(transaction: ModelTransaction): void;
}

type Found = Version | 'blocked' | 'absent';

/**
 * A transaction of the model. No statement waits: what would have to is `blocked` and has done nothing. A statement sees what is over
 * and its own transaction's writes.
 */
export class ModelTransaction {
  readonly xid: number;
  /** When it began, by the clock; for reports. */
  readonly beganMs: number;
  private readonly host: TransactionHost;
  private readonly writes: LoggedWrite[] = [];
  private readonly made: Version[] = [];
  private readonly removed: Version[] = [];
  private readonly tables = new Set<ModelTable>();
  private marker: Marker | null = null;
  private began: bigint | undefined;
  private now: 'open' | 'prepared' | 'committing' | 'over' = 'open';

  constructor(host: TransactionHost, xid: number, beganMs: number) {
    this.host = host;
    this.xid = xid;
    this.beganMs = beganMs;
  }

  get state(): 'open' | 'prepared' | 'committing' | 'over' {
    return this.now;
  }

  /** The row with this key as this transaction sees it now. */
  row(table: TableId, key: Row): Row | undefined {
    const target = this.host.table(table);
    const sees = ({ madeBy, removedBy }: Version) => this.counts(madeBy) && (removedBy === 0 || !this.counts(removedBy));
    return this.heapOf(target).ofKey(target.keyOf(key)).find(sees)?.row;
  }

  insert(table: TableId, row: Row): 'done' | 'blocked' | 'duplicate' {
    const target = this.open(table);
    if (target === undefined) return 'blocked';
    const key = target.keyOf(row);
    const taken = this.taken(target, key);
    if (taken !== undefined) return this.takenBack(taken);
    this.add(target, key, row);
    this.log(target, { kind: 'insert', before: null, after: row });
    return 'done';
  }

  /** Another key in `after` is a key change. */
  update(table: TableId, key: Row, after: Row): 'done' | 'blocked' | 'absent' | 'duplicate' {
    const target = this.open(table);
    if (target === undefined) return 'blocked';
    const [from, to] = [target.keyOf(key), target.keyOf(after)];
    const found = this.find(target, from);
    if (typeof found === 'string') return this.missed(target, found);
    const taken = from === to ? undefined : this.taken(target, to);
    if (taken !== undefined) return this.takenBack(taken);
    this.remove(found);
    this.add(target, to, after, found.page);
    this.log(target, { kind: 'update', before: found.row, after });
    return 'done';
  }

  delete(table: TableId, key: Row): 'done' | 'blocked' | 'absent' {
    const target = this.open(table);
    if (target === undefined) return 'blocked';
    const found = this.find(target, target.keyOf(key));
    if (typeof found === 'string') return this.missed(target, found);
    this.remove(found);
    this.log(target, { kind: 'delete', before: found.row, after: null });
    return 'done';
  }

  /** Needs the table for itself, until it is over. The rows are gone for every snapshot then, as the old file is. */
  truncate(table: TableId): 'done' | 'blocked' {
    const target = this.open(table);
    if (target === undefined || target.readers.size > 0 || [...target.writers].some((writer) => writer !== this)) return 'blocked';
    target.exclusive = this;
    target.fresh = { owner: this, heap: this.host.newFile() };
    this.log(target, { kind: 'truncate', before: null, after: null });
    return 'done';
  }

  /** A message of ours in the log, beside the writes. */
  emit(marker: Marker): void {
    this.require('open');
    this.write();
    this.marker = marker;
  }

  /** From here on it survives a restart and belongs to no connection. */
  prepare(): void {
    this.require('open');
    this.host.append('prepare');
    this.now = 'prepared';
  }

  /** The commit is in the log, and streamed, but nobody sees it yet and its locks stay. */
  commit(): void {
    this.require('open', 'prepared');
    this.now = 'committing';
    const commit = { xid: this.xid, writes: this.writes, marker: this.marker };
    this.host.logCommit(this.began === undefined ? commit : { ...commit, began: this.began });
  }

  /** It leaves the list of running transactions. */
  becomeVisible(): void {
    this.require('committing');
    for (const table of this.tables) if (table.fresh?.owner === this) table.heap = table.fresh.heap;
    this.end();
  }

  rollback(): void {
    this.require('open', 'prepared');
    this.host.append('abort');
    for (const version of this.made) version.aborted = true;
    for (const version of this.removed) if (version.removedBy === this.xid) version.removedBy = 0;
    this.end();
  }

  private end(): void {
    for (const table of this.tables) {
      table.writers.delete(this);
      if (table.fresh?.owner === this) table.fresh = undefined;
      if (table.exclusive === this) table.exclusive = undefined;
    }
    this.now = 'over';
    this.host.over(this);
  }

  private require(...states: readonly string[]): void {
    if (!states.includes(this.now)) throw new Error(`transaction ${this.xid} is ${this.now}, not ${states.join(' or ')}`);
  }

  /** The table, unless another transaction has it for itself. */
  private open(table: TableId): ModelTable | undefined {
    this.require('open');
    const found = this.host.table(table);
    return found.exclusive === undefined || found.exclusive === this ? found : undefined;
  }

  private heapOf(table: ModelTable): Heap {
    return table.fresh?.owner === this ? table.fresh.heap : table.heap;
  }

  /** True for what this transaction and no other one that is not over did. */
  private counts(xid: number): boolean {
    return xid === this.xid || !this.host.isRunning(xid);
  }

  /** The version that an update or delete of this key finds. */
  private find(table: ModelTable, key: string): Found {
    for (const version of this.heapOf(table).ofKey(key)) {
      if (!this.counts(version.madeBy)) continue;
      if (version.removedBy === 0) return version;
      if (!this.counts(version.removedBy)) return 'blocked';
    }
    return 'absent';
  }

  /** Why a row with this key cannot be inserted now; one that somebody else is inserting or removing may or may not be there. */
  private taken(table: ModelTable, key: string): 'blocked' | 'duplicate' | undefined {
    for (const version of this.heapOf(table).ofKey(key)) {
      if (!this.counts(version.madeBy)) return 'blocked';
      if (version.removedBy === 0) return 'duplicate';
      if (!this.counts(version.removedBy)) return 'blocked';
    }
    return undefined;
  }

  private add(table: ModelTable, key: string, row: Row, near?: number): void {
    this.made.push(this.heapOf(table).add(key, row, this.xid, near));
  }

  private remove(version: Version): void {
    version.removedBy = this.xid;
    this.removed.push(version);
  }

  /** A statement that finds no row keeps the table's lock none the less. */
  private missed(table: ModelTable, found: 'blocked' | 'absent'): 'blocked' | 'absent' {
    if (found === 'absent') this.lock(table);
    return found;
  }

  /** A row whose key turns out to be taken is in the log already, and is taken back. */
  private takenBack(why: 'blocked' | 'duplicate'): 'blocked' | 'duplicate' {
    this.write();
    return why;
  }

  private write(): bigint {
    const lsn = this.host.append('write');
    this.began ??= lsn;
    return lsn;
  }

  private lock(table: ModelTable): void {
    this.tables.add(table);
    table.writers.add(this);
  }

  private log(table: ModelTable, write: Pick<LoggedWrite, 'kind' | 'before' | 'after'>): void {
    this.lock(table);
    const lsn = this.write();
    const { table: id } = table.schema;
    this.writes.push({ ...write, table: id, lsn, published: this.host.isPublished(id) });
  }
}
