import type { Row, TableId } from '@nanosync/core';
import { tableIdOf } from '@nanosync/core';
import type { ScenarioDatabase, ScenarioSession } from '@nanosync/testkit';
import { FakeClock } from '@nanosync/testkit';
import { ModelDatabase } from './database.ts';
import { openModelSource } from './source.ts';
import { schemaOf } from './test-support.ts';
import type { ModelTransaction } from './transaction.ts';

/** Between what fits a page and what is left out of the log. */
const LARGE_CHARS = 2000;
/** Longer than it takes until anything that does not wait is over. */
const LONG_MS = 1000;

/** The model as a database that scenarios run on; random numbers that are all 0 put rows where PostgreSQL does. */
export function modelScenarios(random: () => number): ScenarioDatabase {
  const clock = new FakeClock();
  const db = new ModelDatabase({ schemas: [], random, clock, pageRows: 5, largeChars: LARGE_CHARS });
  const { source } = openModelSource(db, clock);
  const names = new Map<number, string>();
  return {
    source,
    table: async (name) => {
      const table = tableIdOf('public', name);
      db.createTable(schemaOf(table));
      return table;
    },
    session: async (name) => new ModelSession(db, (xid) => names.set(xid, name)),
    rewrite: async (table) => (db.rewrite(table) ? 'done' : 'waits'),
    vacuum: async (table) => db.vacuum(table),
    crash: async () => db.restart(),
    dropSlot: async () => db.dropSlot(),
    breakStream: async () => db.breakStream(),
    confirmed: async () => db.slot?.confirmed ?? 0n,
    settled: async (work) => {
      let over = false;
      const end = () => {
        over = true;
      };
      work.then(end, end);
      await clock.advance(0);
      while (!over) await clock.advance(clock.nextMs === undefined ? 1 : Math.max(0, clock.nextMs - clock.nowMs()));
      return work;
    },
    untilWaiting: () => clock.advance(LONG_MS),
    holder: ({ holder }) => names.get(Number(/\d+/.exec(holder)?.[0])) ?? '',
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

/** One session: at most one transaction at a time. */
class ModelSession implements ScenarioSession {
  private readonly db: ModelDatabase;
  private readonly began: (xid: number) => void;
  private transaction: ModelTransaction | undefined;

  constructor(db: ModelDatabase, began: (xid: number) => void) {
    this.db = db;
    this.began = began;
  }

  async begin() {
    this.transaction = this.db.begin();
    this.began(this.transaction.xid);
  }

  async insert(table: TableId, { id, name, body }: { readonly id: number; readonly name: string; readonly body: string }) {
    return this.now.insert(table, [BigInt(id), name, body]);
  }

  async update(table: TableId, id: number, change: { readonly id?: number; readonly name?: string; readonly body?: string }) {
    const key = keyOf(id);
    const [, name = null, body = null] = this.now.row(table, key) ?? [];
    return this.now.update(table, key, [BigInt(change.id ?? id), change.name ?? name, change.body ?? body]);
  }

  async delete(table: TableId, id: number) {
    return this.now.delete(table, keyOf(id));
  }

  async truncate(table: TableId) {
    return this.now.truncate(table);
  }

  async prepare() {
    this.now.prepare();
  }

  async commit() {
    this.now.commit();
    this.now.becomeVisible();
  }

  async commitLate() {
    this.now.commit();
  }

  async becomeVisible() {
    this.now.becomeVisible();
  }

  async rollback() {
    this.now.rollback();
  }

  async reconnect() {}

  async [Symbol.asyncDispose]() {
    const state = this.transaction?.state;
    if (state === 'committing') this.transaction?.becomeVisible();
    else if (state === 'open' || state === 'prepared') this.transaction?.rollback();
  }

  private get now(): ModelTransaction {
    if (this.transaction === undefined) throw new Error('the session has no transaction');
    return this.transaction;
  }
}

function keyOf(id: number): Row {
  return [BigInt(id), null, null];
}
