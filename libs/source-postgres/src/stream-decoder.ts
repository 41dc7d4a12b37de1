import type { Position, Row, TableId } from '@nanosync/core';
import { PipelineError, UNCHANGED } from '@nanosync/core';
import { CellTextError } from './cell-text-error.ts';
import type { Chunk } from './chunk.ts';
import type { Horizon } from './horizon.ts';
import { MARKER_PREFIX, parseMarker } from './marker.ts';
import type { PgoutputMessage, Relation } from './pgoutput.ts';
import { decodePgoutput } from './pgoutput.ts';
import { positionOfLsn } from './position.ts';
import { fillUnchanged, keyTexts, requireKey } from './row-key.ts';
import type { TablePlan } from './table-plan.ts';
import { readRow, relationDifference } from './table-plan.ts';
import { Transaction } from './transaction.ts';

/** What a {@link StreamDecoder} is told about its stream. */
export interface DecoderOptions {
  readonly pipeline: string;
  readonly plans: readonly TablePlan[];
  readonly complete: (table: TableId) => boolean;
  readonly begun: (table: TableId, position: Position) => boolean;
  readonly horizon: Horizon;
}

/** A table that the stream describes otherwise than it was planned. */
interface Different {
  readonly plan: TablePlan;
  readonly reason: string;
}

/** Instead of a tuple that holds values which are kept back. */
const NOTHING = new Uint8Array(0);

type RowMessage = Extract<PgoutputMessage, { readonly kind: 'insert' | 'update' | 'delete' }>;

/**
 * Turns pgoutput messages into source events, one after the other. Keeps the open transaction and the tables' descriptions;
 * reads and writes nothing.
 */
export class StreamDecoder {
  private readonly options: DecoderOptions;
  private readonly byOid: ReadonlyMap<number, TablePlan>;
  private readonly byName: ReadonlyMap<string, TablePlan>;
  /** Tables as the stream described them; null: not asked for. */
  private readonly relations = new Map<number, TablePlan | Different | null>();
  private readonly ended = new Set<TableId>();
  private open: Transaction | undefined;

  constructor(options: DecoderOptions) {
    this.options = options;
    this.byOid = new Map(options.plans.map((plan) => [plan.storage.oid, plan]));
    this.byName = new Map(options.plans.map((plan) => [plan.table, plan]));
  }

  /** True between a Begin and its Commit. */
  get inTransaction(): boolean {
    return this.open !== undefined;
  }

  /** Decodes the message at `start` to `end` and appends what it means. True when the chunk has to be delivered before the next one. */
  push(bytes: Buffer, start: number, end: number, chunk: Chunk): boolean {
    const message = decodePgoutput(bytes, start, end);
    switch (message.kind) {
      case 'insert':
      case 'update':
      case 'delete':
        this.row(message, bytes, start, end, chunk);
        return false;
      case 'begin':
        if (this.open !== undefined) throw new PipelineError('defect', 'a transaction begins in the stream before the last one ended');
        this.open = new Transaction(message);
        return false;
      case 'commit':
        this.commit(message.commitLsn, chunk);
        return false;
      case 'relation':
        this.relation(message, chunk);
        return false;
      case 'truncate':
        this.truncate(message.oids, chunk);
        return false;
      case 'message':
        return this.message(message, chunk);
      case 'origin':
      case 'type':
        return false;
    }
  }

  private transaction(): Transaction {
    if (this.open === undefined) throw new PipelineError('defect', 'the stream holds a change outside a transaction');
    return this.open;
  }

  private commit(commitLsn: bigint, chunk: Chunk): void {
    const transaction = this.transaction();
    if (commitLsn !== transaction.commitLsn) throw new PipelineError('defect', 'a transaction of the stream ends elsewhere than it said');
    const { commitMs } = transaction;
    chunk.events.push({ kind: 'commit', position: transaction.last(), acknowledge: positionOfLsn(commitLsn), commitMs });
    this.open = undefined;
  }

  private relation(relation: Relation, chunk: Chunk): void {
    const plan = this.byOid.get(relation.oid) ?? this.byName.get(`${relation.namespace}.${relation.name}`);
    const reason = plan === undefined ? undefined : relationDifference(plan, relation);
    const described = plan === undefined ? null : reason === undefined ? plan : { plan, reason };
    this.relations.set(relation.oid, described);
    this.endIfDifferent(described, chunk);
  }

  /** The table is no longer the planned one: nothing more of it is delivered in its generation. */
  private endIfDifferent(described: TablePlan | Different | null, chunk: Chunk): void {
    if (described === null || !('reason' in described)) return;
    const { plan, reason } = described;
    const transaction = this.transaction();
    // Before it begins a table may have had other columns: what matters is what it is like from its first event on.
    if (!this.options.begun(plan.table, transaction.start) || this.ended.has(plan.table)) return;
    this.ended.add(plan.table);
    const { commitMs } = transaction;
    chunk.events.push({ kind: 'schema', table: plan.table, position: transaction.beforeNext(), commitMs, reason });
  }

  /**
   * The plan of a table of which the next message is, null when nothing of it is delivered, undefined when it does not even count: what the server
   * sends of a table that has not begun depends on where the stream did, and the others' positions must not.
   */
  private planOf(oid: number, chunk: Chunk): TablePlan | null | undefined {
    const described = this.relations.get(oid);
    if (described === undefined) throw new PipelineError('defect', 'the stream holds a change of a table that it did not describe');
    if (described === null) return undefined;
    this.endIfDifferent(described, chunk);
    const plan = 'reason' in described ? described.plan : described;
    if (!this.options.begun(plan.table, this.transaction().start)) return undefined;
    return this.ended.has(plan.table) ? null : plan;
  }

  private truncate(oids: readonly number[], chunk: Chunk): void {
    const transaction = this.transaction();
    const plans = oids.map((oid) => this.planOf(oid, chunk)).filter((plan) => plan !== undefined);
    if (plans.length > 0) transaction.count();
    const { xid: txId, commitMs } = transaction;
    for (const plan of plans) {
      if (plan !== null) chunk.events.push({ kind: 'truncate', table: plan.table, position: transaction.position(1), txId, commitMs });
    }
  }

  private message(message: Extract<PgoutputMessage, { kind: 'message' }>, chunk: Chunk): boolean {
    // Others' messages that belong to no transaction arrive between the transactions and have no place of their own.
    if (!message.transactional) return false;
    const transaction = this.transaction();
    transaction.count();
    const marker = message.prefix === MARKER_PREFIX ? parseMarker(message.content, this.options.pipeline) : undefined;
    if (marker === undefined) return false;
    // A later session begins the table here, whatever it was like before; so does this one.
    if (marker.kind === 'generation') this.ended.delete(marker.table);
    chunk.events.push({ kind: 'marker', marker, position: transaction.position(1), commitMs: transaction.commitMs });
    // What follows may have to be completed because of this marker: the reader's owner must have seen it first.
    return true;
  }

  private row(message: RowMessage, bytes: Buffer, start: number, end: number, chunk: Chunk): void {
    const transaction = this.transaction();
    const plan = this.planOf(message.oid, chunk);
    if (plan === undefined) return;
    transaction.count();
    if (plan === null) return;
    try {
      if (message.kind === 'insert') this.insert(plan, message.newAt, bytes, end, chunk);
      else if (message.kind === 'update') this.update(plan, message, bytes, end, chunk);
      else this.delete(plan, message.oldAt, bytes, end, chunk);
    } catch (error) {
      // Invariant 'nothing-skipped': the event takes the row's place, with its bytes where they may be shown.
      if (!(error instanceof CellTextError)) throw error;
      const payload = plan.keepsBack ? NOTHING : Uint8Array.from(bytes.subarray(start + 5, end));
      const { commitMs } = transaction;
      chunk.events.push({
        kind: 'rejected',
        table: plan.table,
        position: transaction.position(1),
        reason: error.message,
        payload,
        commitMs,
      });
    }
  }

  private insert(plan: TablePlan, at: number, bytes: Buffer, end: number, chunk: Chunk): void {
    const after = readRow(plan, bytes, at, end);
    requireKey(plan, after);
    this.change(chunk, plan.table, 'c', null, after, false, 1);
  }

  private delete(plan: TablePlan, at: number, bytes: Buffer, end: number, chunk: Chunk): void {
    const before = readRow(plan, bytes, at, end);
    requireKey(plan, before);
    this.change(chunk, plan.table, 'd', before, null, false, 1);
  }

  private update(plan: TablePlan, message: Extract<PgoutputMessage, { kind: 'update' }>, bytes: Buffer, end: number, chunk: Chunk): void {
    const before = message.old === null ? null : readRow(plan, bytes, message.oldAt, end);
    const after = readRow(plan, bytes, message.newAt, end);
    if (before !== null) fillUnchanged(plan, after, before, message.old === 'O');
    requireKey(plan, after);
    if (before !== null) requireKey(plan, before);
    // Invariant 'logged-key': another key is another row: the old one is deleted.
    const keyChange = before !== null && !plan.codec.key(before).equals(plan.codec.key(after));
    if (keyChange) this.change(chunk, plan.table, 'd', before, null, true, 1);
    if (after.includes(UNCHANGED)) this.lack(plan, after, keyChange, () => keyTexts(plan, bytes, message.newAt, message.oldAt), chunk);
    if (keyChange) this.change(chunk, plan.table, 'c', null, after, true, 2);
    else this.change(chunk, plan.table, 'u', before, after, false, 1);
  }

  /** Notes that the event that comes next lacks cells, where they are to be read or may turn out to be. */
  private lack(plan: TablePlan, after: Row, keyChange: boolean, key: () => string[], chunk: Chunk): void {
    const { xid, commitLsn } = this.transaction();
    // Invariant 'complete-images': below L1 a row may have moved past its reader, so that the sink has no value for what the log left out.
    const always = keyChange || this.options.complete(plan.table);
    // A read for this chunk that finds a row gone moves the horizon while what follows is decoded already.
    if (!always && chunk.lacking.length === 0 && !this.options.horizon.covers(plan, commitLsn)) return;
    const cells = after.flatMap((cell, place) => (cell === UNCHANGED ? [place] : []));
    chunk.lacking.push({ at: chunk.events.length, plan, key: key(), cells, xid, commitLsn, always });
  }

  private change(
    chunk: Chunk,
    table: TableId,
    op: 'c' | 'u' | 'd',
    before: Row | null,
    after: Row | null,
    keyChange: boolean,
    sub: 1 | 2,
  ): void {
    const transaction = this.transaction();
    chunk.events.push({
      kind: 'change',
      table,
      op,
      before,
      after,
      rowless: false,
      keyChange,
      completed: false,
      position: transaction.position(sub),
      txId: transaction.xid,
      commitMs: transaction.commitMs,
    });
  }
}
