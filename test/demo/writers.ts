import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { randomOf } from '../shared/random.ts';
import { connect } from './connect.ts';
import { pickStatement, type WriterState } from './writer-statements.ts';

/** What the writers committed so far. */
export interface Written {
  transactions: number;
  changes: number;
  /** Changes by table, to know what fell into the time in which a table was partly read. */
  readonly byTable: Map<string, number>;
}

/** Running writers. */
export interface Writers {
  readonly written: Readonly<Written>;
  /** Ends the writers after their transaction; throws what made one of them fail. */
  stop(): Promise<void>;
}

/** Transactions a second of one writer: enough to hit every table all the time, and no benchmark. */
const PACE = 25;

/** Deadlocks, and two writers that chose the same new key: what an application answers by trying again. */
const RETRYABLE = new Set(['40001', '40P01', '23505']);

/**
 * Starts connections that insert, update (also keys, also rows whose large text stays as it is) and delete in all tables of
 * the shop, several statements a transaction, at a steady pace.
 */
export async function startWriters(dsn: string, connections: number, wide: number): Promise<Writers> {
  const written: Written = { transactions: 0, changes: 0, byTable: new Map() };
  const stopping = new AbortController();
  const loops = Array.from({ length: connections }, (_, index) => write(dsn, index, wide, written, stopping.signal));
  const all = Promise.all(loops);
  all.catch(() => stopping.abort());
  return {
    written,
    stop: async () => {
      stopping.abort();
      await all;
    },
  };
}

async function write(dsn: string, index: number, wide: number, written: Written, signal: AbortSignal): Promise<void> {
  const client = await connect(dsn, `shop-writer-${index}`);
  const state: WriterState = {
    random: randomOf(index + 1),
    wide,
    next: 1_000_000_000 + index * 100_000_000,
    small: 500_000_000 + index * 100_000_000,
  };
  try {
    for (let due = performance.now(); !signal.aborted; ) {
      await transact(client, state, written);
      due = Math.max(due + 1000 / PACE, performance.now()); // Time that was lost is not made up in a burst.
      await pause(Math.max(0, due - performance.now()), undefined, { signal }).catch(() => undefined);
    }
  } finally {
    await client.end();
  }
}

async function transact(client: pg.Client, state: WriterState, written: Written): Promise<void> {
  const changes: [string, number][] = [];
  await client.query('BEGIN');
  try {
    const statements = 2 + Math.floor(state.random() * 5);
    for (let done = 0; done < statements; done++) {
      for (const { table, text, values } of pickStatement(state)) {
        const result = await client.query(text, values as unknown[]);
        changes.push([table, result.rowCount ?? 0]);
      }
    }
    if (state.random() < 0.04) {
      await client.query('ROLLBACK'); // Some users change their mind; nothing of this may arrive.
      return;
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    if (!RETRYABLE.has((error as { code?: string }).code ?? '')) throw error;
    return;
  }
  written.transactions++;
  for (const [table, rows] of changes) {
    written.changes += rows;
    written.byTable.set(table, (written.byTable.get(table) ?? 0) + rows);
  }
}
