import type { Row, TableId } from '@nanosync/core';
import type { ModelDatabase } from './model/database.ts';
import { BODY } from './workload.ts';

/** One state of a key in the source's history; null: there is no row. */
interface Version {
  readonly name: string | null;
  readonly body: string;
}

/**
 * The history of every key at the source, in commit order, and how far along it the sink was seen: what users see of a key must have been
 * the source's row at some time, and once a table is live it never goes back.
 */
export class Versions {
  private readonly db: ModelDatabase;
  private read = 0;
  private readonly histories = new Map<TableId, Map<string, Version[]>>();
  private readonly live = new Set<TableId>();
  private readonly seen = new Map<TableId, Map<string, number>>();

  constructor(db: ModelDatabase) {
    this.db = db;
  }

  /** This row was at the sink before anything of the source was. */
  allow(table: TableId, row: Row): void {
    const histories = this.histories.get(table) ?? new Map<string, Version[]>();
    this.histories.set(table, histories);
    push(histories, String(row[0]), { name: String(row[1]), body: String(row[2]) });
    push(histories, String(row[0]), { name: null, body: '' }); // A copy does not have it.
  }

  /** Users may see older rows from now on: the warehouse was lost. */
  forget(): void {
    this.live.clear();
    this.seen.clear();
  }

  /** Of one table. */
  forgetTable(table: TableId): void {
    this.live.delete(table);
    this.seen.delete(table);
  }

  /**
   * Compares what users see with the histories; returns what must not be. `isLive`: nothing may go back any more, from what was seen when the
   * table became live: up to L1 a row may be there from the copy, go with its delete, and be there again. `mayGoEarly`: that holds on, as an
   * update that lacks a column of a row that is gone by then is published as its delete.
   */
  look(
    table: TableId,
    rows: readonly Row[],
    { isLive, mayGoEarly }: { readonly isLive: boolean; readonly mayGoEarly: boolean },
  ): readonly string[] {
    if (isLive && !this.live.has(table)) this.seen.delete(table);
    if (isLive) this.live.add(table);
    this.catchUp();
    const histories = this.histories.get(table) ?? new Map<string, Version[]>();
    const seen = this.seen.get(table) ?? new Map<string, number>();
    this.seen.set(table, seen);
    const wrong: string[] = [];
    const present = new Map(rows.map((row) => [String(row[0]), row]));
    for (const [key, row] of present) {
      const history = histories.get(key) ?? [];
      const from = isLive ? (seen.get(key) ?? 0) : 0;
      const at = indexOf(history, row, from);
      if (at !== undefined) seen.set(key, at);
      else if (indexOf(history, row, 0) === undefined) wrong.push(`${table} shows ${key} as ${String(row[1])}, which it never was`);
      else wrong.push(`${table} shows ${key} as ${String(row[1])}, which is older than what it showed before`);
    }
    for (const [key, before] of seen) {
      if (present.has(key)) continue;
      const gone = (histories.get(key) ?? []).findIndex(({ name }, index) => name === null && index >= (isLive ? before : 0));
      if (gone >= 0) seen.set(key, mayGoEarly ? before : gone);
      else wrong.push(`${table} shows no row ${key}, which had one ever since what it showed before`);
    }
    return wrong;
  }

  private catchUp(): void {
    const { log } = this.db;
    for (; this.read < log.length; this.read++)
      for (const { kind, table, before, after } of log[this.read]?.writes ?? []) {
        const histories = this.histories.get(table) ?? new Map<string, Version[]>();
        this.histories.set(table, histories);
        if (kind === 'truncate') for (const history of histories.values()) history.push({ name: null, body: '' });
        const [from, to] = [before && String(before[0]), after && String(after[0])];
        if (from !== null && from !== to) push(histories, from, { name: null, body: '' });
        if (after !== null && to !== null) push(histories, to, { name: String(after[1]), body: String(after[2]) });
      }
  }
}

function push(histories: Map<string, Version[]>, key: string, version: Version): void {
  const history = histories.get(key);
  if (history === undefined)
    histories.set(key, [{ name: null, body: '' }, version]); // Before its first row there was none.
  else history.push(version);
}

/**
 * The version that a row shows. Its name is that of one version; its large column may already be that of a later one, which an event that
 * lacked it was completed from.
 */
function indexOf(history: readonly Version[], row: Row, from: number): number | undefined {
  const at = history.findIndex(({ name }, index) => index >= from && name === row[1]);
  if (at < 0) return undefined;
  if (row.length <= BODY) return at; // It is kept back.
  return history.some(({ body }, index) => index >= at && body === row[BODY]) ? at : undefined;
}
