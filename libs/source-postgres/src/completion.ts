import type { Cell, Clock, SourceEvent } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Client } from 'pg';
import type { Answer, Chunk, Lacking } from './chunk.ts';
import { settle, takeReady } from './chunk.ts';
import type { ReadableTable } from './completion-statement.ts';
import { lookUp, READ_HEAD, readSql } from './completion-statement.ts';
import type { Connect } from './connection.ts';
import { destroy, queryJson } from './connection.ts';
import type { Horizon } from './horizon.ts';
import { INSERT_END } from './horizon.ts';
import { parseLsn } from './position.ts';
import { codeOf } from './postgres-error.ts';
import type { TablePlan } from './table-plan.ts';

/** Bytes of text that one call may read before what is complete is delivered: a chunk of small events can lack gigabytes. */
const TARGET_BYTES = 8 * 1024 * 1024;
const FIRST_BATCH = 16;
const MOST_BATCH = 512;
const FIRST_WAIT_MS = 1;
const MOST_WAIT_MS = 250;
/** A table that is altered between lookup and read that often in a row is not going to hold still. */
const MOST_LOOKUPS = 10;

/** The table, a column or its schema went away between lookup and read. */
const CHANGED_MEANWHILE = new Set(['42P01', '42703', '3F000', '42704', '42883']);
/** Locked, deadlocked, serialized: read again. */
const LATER = new Set(['55P03', '40P01', '40001']);

interface CompletionParts {
  readonly connect: Connect;
  readonly clock: Clock;
  readonly horizon: Horizon;
}

/**
 * Reads the cells that the log left out from the tables themselves, by key. A read counts only if the event's transaction is
 * visible in the same statement: a commit is streamed before it is visible, and an older value would overwrite a newer one.
 */
export class Completion {
  private readonly connect: Connect;
  private readonly clock: Clock;
  private readonly closing = new AbortController();
  private readonly horizon: Horizon;
  private client: Client | undefined;
  private readonly tables = new Map<TablePlan, ReadableTable | undefined>();
  private batch = FIRST_BATCH;
  private waitMs = FIRST_WAIT_MS;

  constructor({ connect, clock, horizon }: CompletionParts) {
    this.connect = connect;
    this.clock = clock;
    this.horizon = horizon;
  }

  /**
   * Completes events from the front of the chunk and takes out those that may be delivered, at least one: all that stand before
   * the first that still lacks cells. Waits, unless it is closed, while that is the very first one.
   */
  async ready(chunk: Chunk): Promise<readonly SourceEvent[]> {
    let bytes = 0;
    // Invariant 'bounded': a chunk of small events can lack gigabytes.
    while (bytes < TARGET_BYTES && !this.closing.signal.aborted) {
      const asked = this.choose(chunk);
      if (asked.length === 0) break;
      const answers = await this.read(asked);
      await this.noteGone(asked, answers);
      const waiting = asked.filter((lacking, index) => !settle(chunk, lacking, answers[index]));
      const settled = new Set(asked.filter((lacking) => !waiting.includes(lacking)));
      chunk.lacking.splice(0, Number.POSITIVE_INFINITY, ...chunk.lacking.filter((lacking) => !settled.has(lacking)));
      const read = answers.reduce((sum, answer) => sum + (answer?.bytes ?? 0), 0);
      bytes += read;
      this.batch = Math.max(1, Math.min(MOST_BATCH, this.batch * 2, Math.floor((TARGET_BYTES / 2) * (asked.length / Math.max(read, 1)))));
      if (waiting.length === 0) this.waitMs = FIRST_WAIT_MS;
      else if ((waiting[0] as Lacking).at > chunk.from) break;
      else await this.pause();
    }
    return takeReady(chunk);
  }

  /** Drops the connection; a read that is under way fails. */
  close(): void {
    this.closing.abort();
    if (this.client !== undefined) destroy(this.client);
    this.client = undefined;
  }

  /** A connection, given up at once when this is closed: connecting can take as long as its timeout. */
  private async open(): Promise<Client> {
    const { signal } = this.closing;
    const opening = this.connect.open('completion');
    opening.then(
      (client) => signal.aborted && destroy(client),
      () => {},
    );
    const closed = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('the change stream was given up')), { once: true });
    });
    return Promise.race([opening, closed]);
  }

  /** The next events to read for. Those at the front that need nothing, as the horizon is now, may go as they are. */
  private choose(chunk: Chunk): readonly Lacking[] {
    const needed = (lacking: Lacking) => lacking.always || this.horizon.covers(lacking.plan, lacking.commitLsn);
    const first = chunk.lacking.findIndex(needed);
    chunk.lacking.splice(0, first < 0 ? Number.POSITIVE_INFINITY : first);
    const asked: Lacking[] = [];
    for (const lacking of chunk.lacking) {
      if (asked.length >= this.batch) break;
      if (needed(lacking)) asked.push(lacking);
    }
    return asked;
  }

  /** Rows that are gone by now: later updates of them, up to the one that removed them, have nothing to stand on at the sink. */
  private async noteGone(asked: readonly Lacking[], answers: readonly Answer[]): Promise<void> {
    const gone = new Set(asked.filter((_, index) => answers[index]?.found === false).map(({ plan }) => plan));
    if (gone.size === 0) return;
    this.client ??= await this.open();
    const end = await queryJson<string>(this.client, INSERT_END).catch((error: unknown) => {
      throw this.connect.explain(error);
    });
    for (const plan of gone) this.horizon.extend(plan, parseLsn(end));
  }

  private async pause(): Promise<void> {
    await this.clock.sleep(this.waitMs, this.closing.signal);
    this.waitMs = Math.min(this.waitMs * 2, MOST_WAIT_MS);
  }

  private async read(asked: readonly Lacking[]): Promise<readonly Answer[]> {
    const answers: Answer[] = new Array(asked.length).fill(undefined);
    for (const plan of new Set(asked.map((lacking) => lacking.plan))) {
      const places = asked.flatMap((lacking, index) => (lacking.plan === plan ? [index] : []));
      const found = await this.readTable(
        plan,
        places.map((place) => asked[place] as Lacking),
      );
      places.forEach((place, index) => {
        answers[place] = found[index];
      });
    }
    return answers;
  }

  private async readTable(plan: TablePlan, asked: readonly Lacking[]): Promise<readonly Answer[]> {
    for (let attempt = 0; attempt < MOST_LOOKUPS; attempt++) {
      try {
        const answers = await this.readOnce(plan, asked);
        if (answers !== undefined) return answers;
      } catch (error) {
        const code = codeOf(error);
        if (code !== undefined && LATER.has(code)) return asked.map(() => undefined);
        if (code === undefined || !CHANGED_MEANWHILE.has(code)) throw this.connect.explain(error);
      }
      this.tables.delete(plan);
    }
    throw new PipelineError('unavailable', `The table ${plan.table} changes its definition again and again.`);
  }

  /** Undefined when the table is no longer what was looked up. */
  private async readOnce(plan: TablePlan, asked: readonly Lacking[]): Promise<readonly Answer[] | undefined> {
    this.client ??= await this.open();
    const { client } = this;
    if (!this.tables.has(plan)) this.tables.set(plan, await lookUp(client, plan));
    const table = this.tables.get(plan);
    if (table === undefined) return asked.map(() => ({ found: false, cells: new Map(), bytes: 0 }));
    const places = table.columns.flatMap((column, place) =>
      column !== undefined && asked.some((one) => one.cells.includes(place)) ? [place] : [],
    );
    const sql = readSql(plan, table, places);
    // Without its key columns no row can be found; the table's schema event follows.
    if (sql === undefined) return asked.map(() => ({ found: true, cells: new Map(), bytes: 0 }));
    const xids = asked.map((one) => String(fullXid(one.xid, table.xid)));
    const keys = plan.keyAt.map((_, index) => asked.map((one) => one.key[index]));
    const { rows } = await client.query<(string | null)[]>({ text: sql, values: [xids, ...keys], rowMode: 'array' });
    if (rows.length !== asked.length)
      throw new PipelineError('defect', `completing ${plan.table} gave another number of rows than asked for`);
    if (rows.some((row) => row[READ_HEAD.shape] !== table.shape)) return undefined;
    this.tables.set(plan, { ...table, xid: BigInt(rows[0]?.[READ_HEAD.xid] ?? table.xid) });
    return rows.map((row) => answerOf(plan, places, row));
  }
}

/**
 * The 64-bit id of a transaction of the stream. Ids are compared within half their circle: an id may be ahead of the snapshot's
 * end, namely when its transaction is not visible yet.
 */
export function fullXid(xid: number, near: bigint): bigint {
  return near + BigInt.asIntN(32, BigInt(xid) - near);
}

function answerOf(plan: TablePlan, places: readonly number[], row: readonly (string | null)[]): Answer {
  // Invariant 'complete-images': a commit is streamed before it is visible; until then the row is an older one.
  if (row[READ_HEAD.visible] !== 't') return undefined;
  const cells = new Map<number, Cell>();
  let bytes = 0;
  if (row[READ_HEAD.found] !== 't') return { found: false, cells, bytes };
  places.forEach((place, index) => {
    const text = row[READ_HEAD.cells + index] ?? null;
    const raw = text === null ? null : Buffer.from(text);
    bytes += raw?.length ?? 0;
    cells.set(place, raw === null ? null : (plan.parsers[place]?.(raw, 0, raw.length) ?? null));
  });
  return { found: true, cells, bytes };
}
