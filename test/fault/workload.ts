import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { connect } from '../demo/connect.ts';
import { randomOf } from '../shared/random.ts';
import { ROWS } from './shop.ts';

/** Running writers. */
export interface Workload {
  /** Transactions committed so far, as far as the writers know. */
  readonly committed: () => number;
  /** Ends the writers after their transaction; throws what made one of them fail. */
  stop(): Promise<void>;
}

/** How writers write. */
export interface Pace {
  /** Transactions a second of one writer. */
  readonly perSecond?: number;
  /** New keys begin so far above those of other writers before these. */
  readonly keysFrom?: number;
}

const PER_SECOND = 40;

/** What an application answers by trying again: deadlocks, and a key that someone else has meanwhile. */
const REFUSED = new Set(['40001', '40P01', '23505']);

/** The server went away or is not there yet: an application connects again. */
const AWAY = /^(57P0\d|08\w{3}|ECONN\w+|EPIPE)$/;

interface Writer {
  readonly random: () => number;
  /** A negative id that this writer alone uses, as the free place of a swap. */
  readonly spare: number;
  /** The next key that this writer alone hands out. */
  next: number;
}

type Statement = readonly [text: string, ...values: unknown[]];

/** What is done and how often; several of them make a transaction. */
const MIX: readonly (readonly [number, (writer: Writer) => readonly Statement[]])[] = [
  [20, (w) => [["UPDATE orders SET status = 'paid', total = total + 0.01 WHERE id BETWEEN $1 AND $1 + 3", order(w)]]],
  [8, (w) => [['INSERT INTO orders VALUES ($1, $2, 1.10, NULL, clock_timestamp())', w.next++, 'fresh']]],
  [6, (w) => [['DELETE FROM orders WHERE id = $1', order(w)]]],
  [6, (w) => [['UPDATE orders SET id = $2 WHERE id = $1', order(w), w.next++]]],
  [6, (w) => swap(w, 'orders', order(w), order(w))],
  [5, (w) => again('orders', order(w), "$1, 'again', 2.20, 'again', NULL")],
  [16, (w) => [['UPDATE docs SET n = n + 1 WHERE id BETWEEN $1 AND $1 + 2', doc(w)]]],
  [5, (w) => [['UPDATE docs SET id = $2 WHERE id = $1', doc(w), w.next++]]],
  [6, (w) => swap(w, 'docs', doc(w), doc(w))],
  [4, (w) => again('docs', doc(w), "$1, 'again', repeat(md5($1::text), 90), 7")],
  [3, (w) => [['UPDATE docs SET body = reverse(body) WHERE id = $1', doc(w)]]],
  // More than is gathered before it is published: a kill can fall into the middle of a transaction.
  [0.06, (w) => [['UPDATE docs SET body = left(body, 2500) || $1', `${w.next}`], ['UPDATE orders SET total = total + 1']]],
  [2, (w) => [['DELETE FROM docs WHERE id = $1', doc(w)]]],
  [8, (w) => [['UPDATE lines SET quantity = quantity + 1 WHERE code = $1', code(w)]]],
  [4, (w) => [['UPDATE lines SET line = line + 10 WHERE code = $1 AND line < 10', code(w)]]],
  [3, (w) => [['INSERT INTO lines VALUES ($1, $2, 1)', code(w), w.next++]]],
  [5, (w) => [['INSERT INTO scratch VALUES ($1, $2)', w.next++, 'new']]],
  [4, (w) => [['UPDATE scratch SET what = $2 WHERE id = $1', below(w, ROWS.scratch), `w${w.next}`]]],
  [1, () => [['TRUNCATE scratch']]],
  [
    1,
    (w) => [
      ['INSERT INTO scratch VALUES ($1, $2)', w.next++, 'goes'],
      ['TRUNCATE scratch'],
      ['INSERT INTO scratch VALUES ($1, $2)', w.next++, 'stays'],
    ],
  ],
];

const TOTAL = MIX.reduce((sum, [weight]) => sum + weight, 0);

/** Starts connections that keep writing to every table, several statements a transaction, also across restarts of the server. */
export function startWorkload(dsn: string, seed: number, connections = 2, pace: Pace = {}): Workload {
  const stopping = new AbortController();
  let committed = 0;
  const loops = Array.from({ length: connections }, (_, index) =>
    write(dsn, { ...pace, seed: seed * 10 + index, index }, stopping.signal, () => {
      committed++;
    }),
  );
  const all = Promise.all(loops);
  all.catch(() => stopping.abort());
  return {
    committed: () => committed,
    stop: async () => {
      stopping.abort();
      await all;
    },
  };
}

async function write(
  dsn: string,
  { seed, index, perSecond = PER_SECOND, keysFrom = 0 }: Pace & { readonly seed: number; readonly index: number },
  signal: AbortSignal,
  done: () => void,
): Promise<void> {
  const writer: Writer = { random: randomOf(seed), spare: -1 - index, next: 1_000_000 * (index + 1) + keysFrom };
  let client: pg.Client | undefined;
  for (let due = performance.now(); !signal.aborted; ) {
    try {
      client ??= await connect(dsn, 'workload');
      if (await transact(client, writer)) done();
    } catch (error) {
      if (!isAway(error)) throw error;
      await client?.end().catch(() => undefined);
      client = undefined;
    }
    due = Math.max(due + 1000 / perSecond, performance.now());
    await pause(Math.max(5, due - performance.now()), undefined, { signal }).catch(() => undefined);
  }
  await client?.end().catch(() => undefined);
}

async function transact(client: pg.Client, writer: Writer): Promise<boolean> {
  await client.query('BEGIN');
  try {
    for (let left = 1 + below(writer, 4); left > 0; left--) for (const [text, ...values] of pick(writer)) await client.query(text, values);
    const kept = writer.random() >= 0.05; // Some users change their mind; nothing of this may arrive.
    await client.query(kept ? 'COMMIT' : 'ROLLBACK');
    return kept;
  } catch (error) {
    if (!REFUSED.has(codeOf(error))) throw error;
    await client.query('ROLLBACK');
    return false;
  }
}

function pick(writer: Writer): readonly Statement[] {
  let ticket = writer.random() * TOTAL;
  for (const [weight, make] of MIX) {
    ticket -= weight;
    if (ticket < 0) return make(writer);
  }
  return [];
}

/** Two rows change keys by way of a third; at the end of the transaction both are somewhere else. */
function swap(writer: Writer, table: string, a: number, b: number): readonly Statement[] {
  const move = `UPDATE ${table} SET id = $2 WHERE id = $1`;
  return a === b
    ? []
    : [
        [move, a, writer.spare],
        [move, b, a],
        [move, writer.spare, b],
      ];
}

function again(table: string, id: number, values: string): readonly Statement[] {
  return [
    [`DELETE FROM ${table} WHERE id = $1`, id],
    [`INSERT INTO ${table} SELECT ${values.replaceAll('$1', '$1::int')}`, id],
  ];
}

function order(writer: Writer): number {
  return 1 + below(writer, ROWS.orders);
}

function doc(writer: Writer): number {
  return 1 + below(writer, ROWS.docs);
}

function code(writer: Writer): string {
  return `c${below(writer, ROWS.lines / 3)}`;
}

function below(writer: Writer, limit: number): number {
  return Math.floor(writer.random() * limit);
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code ?? '');
}

function isAway(error: unknown): boolean {
  return AWAY.test(codeOf(error)) || /Connection terminated|not queryable|connection was closed/i.test((error as Error).message);
}
