import type { Clock, Marker, Row, TableId, TableSchema } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { Heap } from './heap.ts';
import type { Commit, Logged } from './log.ts';
import type { Snapshot } from './table.ts';
import { ModelTable, sees } from './table.ts';
import type { TransactionHost } from './transaction.ts';
import { ModelTransaction } from './transaction.ts';
import { ModelViews } from './view.ts';
import { WakeUps } from './wake-ups.ts';

/** What a model is made of. */
export interface ModelOptions {
  readonly schemas: readonly TableSchema[];
  /** 0 to below 1, seeded. */
  readonly random: () => number;
  readonly clock: Clock;
  /** Rows of a page; 4 unless said otherwise. */
  readonly pageRows?: number;
  /** Values longer than this are left out of the log by an update that does not touch them; 20 characters unless said otherwise. */
  readonly largeChars?: number;
}

/** A slot of the model. */
export interface ModelSlot {
  readonly name: string;
  /** Commits that begin below are never delivered again. */
  confirmed: bigint;
  /** What of that survives a crash of the server, which saves it only now and then. */
  saved: bigint;
  /** The stream that holds the slot; told when the server ends it. */
  holder: { ended(): void } | null;
}

const FIRST_LSN = 0x1000n;
const RECORD_BYTES = { write: 0x48n, prepare: 0x80n, abort: 0x20n, running: 0x38n, commit: 0x30n } as const;
const PAGE_ROWS = 4;
const LARGE_CHARS = 20;
/** How often the server does not save where a slot is confirmed. */
const FORGETS = 0.7;

/**
 * A PostgreSQL in memory, as far as a pipeline can tell: heaps whose rows move, transactions that commit before they are visible, a log,
 * a publication and slots. It is the oracle of the simulation: what its tables hold at the end is what the sink must hold.
 */
export class ModelDatabase implements TransactionHost {
  readonly log: Logged[] = [];
  /** By name, the newest last. */
  readonly slots = new Map<string, ModelSlot>();
  /** Names of slots whose creation is under way. */
  readonly creating = new Set<string>();
  /** Tables whose changes the stream has; undefined: there is no publication. */
  publication: Set<TableId> | undefined;
  /** Where in the log the publication was changed. */
  readonly altered: bigint[] = [];
  /** Called with each value by which the server moves a slot on, and its name. */
  onConfirm: (lsn: bigint, slot: string) => void = () => {};
  /** Ends all connections of one process, for each process that is connected. */
  readonly sessions = new Set<() => void>();
  readonly views = new ModelViews();
  /** What statements of queries found, ever. */
  readonly results = new Set<string>();
  readonly wakeUps = new WakeUps();
  readonly random: () => number;
  readonly largeChars: number;
  private readonly clock: Clock;
  private readonly pageRows: number;
  private readonly tables = new Map<TableId, ModelTable>();
  /** Transactions that are not over, by id, oldest first. */
  private readonly running = new Map<number, ModelTransaction>();
  private nextXid = 700;
  private nextFile = 1;
  private nextOid = 16_384;
  private insertAt = FIRST_LSN;
  private unreachable = false;

  constructor({ schemas, random, clock, pageRows = PAGE_ROWS, largeChars = LARGE_CHARS }: ModelOptions) {
    this.random = random;
    this.clock = clock;
    this.pageRows = pageRows;
    this.largeChars = largeChars;
    for (const schema of schemas) this.createTable(schema);
  }

  /** The newest slot. */
  get slot(): ModelSlot | undefined {
    return [...this.slots.values()].at(-1);
  }

  /** Where the next record of the log will be. */
  get end(): bigint {
    return this.insertAt;
  }

  begin(): ModelTransaction {
    const transaction = new ModelTransaction(this, this.nextXid++, this.clock.monotonicMs());
    this.running.set(transaction.xid, transaction);
    return transaction;
  }

  createTable(schema: TableSchema): void {
    if (this.tables.has(schema.table)) throw new Error(`the model has a table ${schema.table} already`);
    this.tables.set(schema.table, new ModelTable(schema, this.nextOid++, this.newFile()));
  }

  /** The table and its rows go, and it leaves the publication; false (nothing done) while somebody uses it. */
  dropTable(table: TableId): boolean {
    const { writers, readers } = this.table(table);
    if (writers.size > 0 || readers.size > 0) return false;
    this.tables.delete(table);
    this.publication?.delete(table);
    return true;
  }

  tableIds(): readonly TableId[] {
    return [...this.tables.keys()];
  }

  /** The table, or undefined when there is none of this name. */
  find(table: string): ModelTable | undefined {
    return this.tables.get(table as TableId);
  }

  table(table: TableId): ModelTable {
    const found = this.tables.get(table);
    if (found === undefined) throw new Error(`the model has no table ${table}`);
    return found;
  }

  /** What the transactions of the log amount to, in the order of canonical keys, as the memory warehouse gives its rows. */
  rowsOf(table: TableId): readonly Row[] {
    return [...this.table(table).committed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  /** The row with this key, by what the transactions of the log amount to. */
  row(table: TableId, key: Row): Row | undefined {
    const found = this.table(table);
    return found.committed.get(found.keyOf(key));
  }

  /** VACUUM FULL: a new file with the rows in another order, and no change event. False, and nothing done, while somebody uses the table. */
  rewrite(table: TableId): boolean {
    const found = this.table(table);
    if (found.writers.size > 0 || found.readers.size > 0) return false;
    const heap = this.newFile();
    heap.fill([...found.heap.versions()].filter(({ aborted, removedBy }) => !aborted && removedBy === 0));
    found.heap = heap;
    return true;
  }

  /** Makes room where versions lie that no transaction, no open read and no view can see, so that later rows come to lie on early pages. */
  vacuum(table: TableId): void {
    const { heap, readers, writers, exclusive } = this.table(table);
    if (exclusive !== undefined) return;
    const snapshots = [...this.views.snapshots, ...[...readers].flatMap(({ snapshot }) => snapshot ?? [])];
    heap.vacuum(
      ({ aborted, removedBy }) =>
        aborted || (removedBy !== 0 && !this.isRunning(removedBy) && snapshots.every((snapshot) => sees(snapshot, removedBy))),
      readers.size === 0 && writers.size === 0,
    );
  }

  /** Drops a slot, or ends its creation; its stream ends. */
  drop(name: string): void {
    const slot = this.slots.get(name);
    if (slot !== undefined) this.endStream(slot);
    this.slots.delete(name);
    this.creating.delete(name);
    this.wakeUps.wake();
  }

  /** Somebody drops all slots by hand. */
  dropSlot(): void {
    for (const name of [...this.slots.keys(), ...this.creating]) this.drop(name);
  }

  /** The server ends whoever streams from a slot. */
  breakStream(): void {
    for (const slot of this.slots.values()) this.endStream(slot);
    this.wakeUps.wake();
  }

  /** The server dies and comes back: no connection and no open transaction survives, and what was committed is visible. */
  restart(): void {
    this.cutAll();
    for (const transaction of [...this.running.values()])
      if (transaction.state === 'open') transaction.rollback();
      else if (transaction.state === 'committing') transaction.becomeVisible();
    for (const slot of this.slots.values()) slot.confirmed = slot.saved;
  }

  /** While true nobody reaches the server. */
  get away(): boolean {
    return this.unreachable;
  }

  set away(away: boolean) {
    this.unreachable = away;
    if (away) this.cutAll();
  }

  /** Runs a cure that the fence named: ends the transaction that holds it. */
  cure(statement: string): void {
    const xid = Number(/\d+/.exec(statement)?.[0]);
    const holder = this.running.get(xid);
    if (holder?.state === 'committing') holder.becomeVisible();
    else holder?.rollback();
  }

  /** ALTER PUBLICATION: adds tables, or only makes every stream look again. */
  alterPublication(tables: readonly TableId[], gone: readonly TableId[] = []): void {
    for (const table of tables) this.publication?.add(table);
    for (const table of gone) this.publication?.delete(table);
    this.takeXid();
    this.altered.push(this.append('commit'));
    this.wakeUps.wake();
  }

  /** Throws when the server cannot be reached. */
  reach(): void {
    if (this.unreachable) throw new PipelineError('unavailable', 'The model does not answer.');
  }

  /** A transaction id that is used for nothing. */
  takeXid(): number {
    return this.nextXid++;
  }

  isRunning(xid: number): boolean {
    return this.running.has(xid);
  }

  isPublished(table: TableId): boolean {
    return this.publication?.has(table) ?? false;
  }

  /** The transactions that are not over, oldest first. */
  runningNow(): readonly ModelTransaction[] {
    return [...this.running.values()];
  }

  snapshot(): Snapshot {
    return { next: this.nextXid, running: new Set(this.running.keys()) };
  }

  newFile(): Heap {
    return new Heap(this.nextFile++, this.pageRows, this.random);
  }

  /** Writes a record of the log and returns where the next one will be. */
  append(kind: keyof typeof RECORD_BYTES): bigint {
    this.insertAt += RECORD_BYTES[kind];
    return this.insertAt;
  }

  logCommit(commit: Commit): void {
    const lsn = this.insertAt;
    this.log.push({ began: lsn, ...commit, lsn, endLsn: this.append('commit'), commitMs: this.clock.nowMs() });
    for (const { table, kind, before, after } of commit.writes) {
      const found = this.table(table);
      if (kind === 'truncate') found.committed.clear();
      if (before !== null) found.committed.delete(found.keyOf(before));
      if (after !== null) found.committed.set(found.keyOf(after), after);
    }
    this.wakeUps.wake();
  }

  over({ xid }: ModelTransaction): void {
    this.running.delete(xid);
    this.wakeUps.wake();
  }

  /** Commits a message of ours as a transaction of its own, which waits for nothing. */
  mark(marker: Marker): void {
    const transaction = this.begin();
    transaction.emit(marker);
    transaction.commit();
    transaction.becomeVisible();
  }

  /** The holder of a slot tells the server what is safe elsewhere. */
  confirm(lsn: bigint, name: string): void {
    const slot = this.slots.get(name);
    if (slot === undefined || lsn <= slot.confirmed) return;
    slot.confirmed = lsn;
    if (this.random() >= FORGETS) slot.saved = lsn;
    this.onConfirm(lsn, name);
  }

  private endStream(slot: ModelSlot): void {
    const { holder } = slot;
    slot.holder = null;
    holder?.ended();
  }

  private cutAll(): void {
    for (const cut of [...this.sessions]) cut();
    this.breakStream();
  }
}
