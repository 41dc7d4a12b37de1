import type { Cell, Row, TableId, TableSchema } from '@nanosync/core';
import { tableIdOf } from '@nanosync/core';
import type { SimClock } from './clock.ts';
import type { ModelDatabase } from './model/database.ts';
import type { ModelTransaction } from './model/transaction.ts';
import type { Occurrences } from './occurrences.ts';
import type { Plan, StatementPlan, TransactionPlan } from './plan.ts';
import { TABLES } from './plan.ts';

/** Columns of every table of a simulation: the key, a text that every version has for itself, and a text that is large for the log. */
export const COLUMNS = ['id', 'name', 'body'] as const;
const NAME = 1;
/** Where the column is that is large for the log. */
export const BODY = 2;

/** The table of a number in a plan. */
export function tableId(table: number): TableId {
  return tableIdOf('public', TABLES[table] as string);
}

/** The schemas of all tables. */
export function schemas(): readonly TableSchema[] {
  const columns = COLUMNS.map((name) => ({ name, type: { kind: name === 'id' ? 'int64' : 'text' } }) as const);
  return TABLES.map((_, table) => ({ table: tableId(table), columns, key: ['id'] }));
}

const BULK_ROWS = 80;
const BULK_BYTES = 120_000;
/** How often a statement that meets a lock is tried again. */
const TRIES = 3;

/** What applications do in the database meanwhile, as planned. Every version of a row has a name of its own. */
export class Workload {
  private readonly db: ModelDatabase;
  private readonly clock: SimClock;
  private readonly occurrences: Occurrences;
  private readonly plan: Plan;
  /** Changes that nothing can be made of. */
  orphans = 0;
  private readonly broken: (error: unknown) => void;
  private open = 0;
  private begun = 0;
  private readonly deleted = new Set<string>();

  constructor(
    world: { readonly db: ModelDatabase; readonly clock: SimClock; violate(what: string): void },
    plan: Plan,
    occurrences: Occurrences,
  ) {
    const { db, clock } = world;
    this.broken = (error) => world.violate(`the workload is broken: ${error instanceof Error ? error.stack : String(error)}`);
    this.db = db;
    this.clock = clock;
    this.plan = plan;
    this.occurrences = occurrences;
  }

  /** The rows that were there before anything began. */
  fill(): void {
    for (const [table] of TABLES.entries())
      for (let id = 1; id <= this.plan.rows; id++) {
        const filling = this.db.begin();
        filling.insert(tableId(table), rowOf(BigInt(id), `first ${id}`));
        filling.commit();
        filling.becomeVisible();
      }
  }

  /** Lets every transaction begin at its time. */
  start(): void {
    for (const [number, transaction] of this.plan.transactions.entries())
      this.clock.after(transaction.atMs, () => {
        this.begun++;
        this.open++;
        this.run(transaction, number).then(
          () => {
            this.open--;
          },
          (error: unknown) => this.broken(error),
        );
      });
  }

  /** Every transaction is over, and what it wrote is visible. */
  get isOver(): boolean {
    return this.begun === this.plan.transactions.length && this.open === 0;
  }

  private async run({ statements, thinkMs, ending, hiddenMs }: TransactionPlan, number: number): Promise<void> {
    const transaction = this.db.begin();
    for (const [at, statement] of statements.entries()) {
      await this.statement(transaction, statement, `t${number}.${at}`);
      await this.clock.sleep(thinkMs);
      if (transaction.state === 'over') return; // The server was restarted.
    }
    if (ending === 'rollback') {
      this.occurrences.count('operation', 'rolled back');
      return transaction.rollback();
    }
    if (ending === 'prepared') {
      transaction.prepare();
      this.occurrences.count('operation', 'prepared');
      await this.clock.sleep(thinkMs * 10 + hiddenMs);
    }
    if (thinkMs >= 100) this.occurrences.count('operation', 'long open');
    transaction.commit();
    if (hiddenMs > 3) this.occurrences.count('operation', 'visible late');
    await this.clock.sleep(hiddenMs);
    if (transaction.state !== 'over') transaction.becomeVisible();
  }

  /** Does a statement; where it meets a lock, a few times more. What is not possible now is left out. */
  private async statement(transaction: ModelTransaction, statement: StatementPlan, name: string): Promise<void> {
    for (let tries = 0; tries < TRIES && transaction.state === 'open'; tries++) {
      const outcome = this.attempt(transaction, statement, name);
      if (outcome === 'done' && statement.kind !== 'orphan') this.occurrences.count('operation', statement.kind);
      if (outcome !== 'blocked') return;
      await this.clock.sleep(7);
    }
  }

  private attempt(transaction: ModelTransaction, { kind, table, key, other }: StatementPlan, name: string): string {
    const id = tableId(table);
    const at = (of: number): Row => [BigInt(of), '', ''];
    switch (kind) {
      case 'insert':
        return this.insert(transaction, id, key, name);
      case 'update':
        return transaction.update(id, at(key), rowOf(BigInt(key), name));
      case 'touch':
        return this.keeping(transaction, id, key, key, name);
      case 'delete':
        return this.remove(transaction, id, key);
      case 'key':
        return this.keeping(transaction, id, key, other, name);
      case 'swap':
        return this.swap(transaction, id, [key, other], name);
      case 'chain': {
        const moved = this.keeping(transaction, id, other, 1000 + other, `${name}a`);
        return moved === 'done' ? this.keeping(transaction, id, key, other, `${name}b`) : moved;
      }
      case 'replace': {
        const removed = this.remove(transaction, id, key);
        return removed === 'done' ? transaction.insert(id, rowOf(BigInt(key), name)) : removed;
      }
      case 'truncate':
        return transaction.truncate(id);
      case 'orphan':
        return this.orphan(transaction, id, name);
      case 'bulk':
        return this.bulk(transaction, id, name);
    }
  }

  private insert(transaction: ModelTransaction, table: TableId, key: number, name: string): string {
    const outcome = transaction.insert(table, rowOf(BigInt(key), name));
    if (outcome === 'done' && this.deleted.has(`${table}/${key}`)) this.occurrences.count('operation', 'inserted again');
    return outcome;
  }

  private remove(transaction: ModelTransaction, table: TableId, key: number): string {
    const outcome = transaction.delete(table, [BigInt(key), '', '']);
    if (outcome === 'done') this.deleted.add(`${table}/${key}`);
    return outcome;
  }

  /** An update that leaves the large column as it is. */
  private keeping(transaction: ModelTransaction, table: TableId, from: number, to: number, name: string): string {
    const before = transaction.row(table, [BigInt(from), '', '']);
    if (before === undefined) return 'absent';
    return transaction.update(table, before, [BigInt(to), name, before[BODY] as Cell]);
  }

  private swap(transaction: ModelTransaction, table: TableId, [a, b]: readonly [number, number], name: string): string {
    if (transaction.row(table, [BigInt(b), '', '']) === undefined) return 'absent';
    const first = this.keeping(transaction, table, a, 2000 + a, `${name}a`);
    if (first !== 'done') return first;
    const second = this.keeping(transaction, table, b, a, `${name}b`);
    return second === 'done' ? this.keeping(transaction, table, 2000 + a, b, `${name}c`) : second;
  }

  private orphan({ xid }: ModelTransaction, table: TableId, name: string): string {
    const before = rowOf(9000n, `${name} before`);
    const after = before.map((cell, column) => (column === NAME ? name : cell));
    const lsn = this.db.end;
    this.db.logCommit({ xid, writes: [{ kind: 'update', table, before, after, lsn, published: true }], marker: null });
    const found = this.db.table(table);
    found.committed.delete(found.keyOf(after));
    this.orphans++;
    return 'done';
  }

  private bulk(transaction: ModelTransaction, table: TableId, name: string): string {
    for (let row = 0; row < BULK_ROWS; row++)
      transaction.insert(table, [3000n + BigInt(row), `${name}/${row}`, `${name}/${row}`.padEnd(BULK_BYTES, 'x')]);
    return 'done';
  }
}

/** A row with a large body of its own. */
export function rowOf(id: bigint, name: string): Row {
  return [id, name, `the large body of ${name}`.padEnd(40, '.')];
}
