import { expect, test } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { connect } from '../demo/connect.ts';
import type { Facts } from './facts.ts';
import { sharedServer } from './fixture.ts';
import { askForResnapshot } from './repair.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();
const TABLES = ['public.accounts', 'public.transfers', 'public.orders'];
const ACCOUNTS = 4000;
const WRITERS = 2;

/** Accounts that money moves between, with every transfer written down in the transaction that does it. */
const DDL = `
  CREATE TABLE accounts (id integer PRIMARY KEY, balance integer NOT NULL, filler text NOT NULL) WITH (fillfactor = 60);
  CREATE TABLE transfers (id bigserial PRIMARY KEY, source integer NOT NULL, target integer NOT NULL, amount integer NOT NULL);
  CREATE INDEX ON accounts (balance);
  INSERT INTO accounts SELECT i, 1000, repeat('x', 60) FROM generate_series(1, ${ACCOUNTS}) AS i`;

/** Transfers, each of which moves two rows of accounts to other places, until disposed. */
function transferring(dsn: string): AsyncDisposable & { readonly done: () => number } {
  const ending = new AbortController();
  let transfers = 0;
  const write = async () => {
    const client = await connect(dsn);
    for (; !ending.signal.aborted; transfers++) {
      const [source, target] = [1, 2].map(() => 1 + Math.floor(Math.random() * ACCOUNTS)).sort((a, b) => a - b);
      const amount = 1 + (transfers % 9);
      await client.query('BEGIN');
      await client.query("UPDATE accounts SET balance = balance - $1, filler = filler || 'y' WHERE id = $2", [amount, source]);
      await client.query("UPDATE accounts SET balance = balance + $1, filler = filler || 'y' WHERE id = $2", [amount, target]);
      await client.query('INSERT INTO transfers (source, target, amount) VALUES ($1, $2, $3)', [source, target, amount]);
      await client.query('COMMIT');
      if (transfers % 50 === 0) await client.query('DELETE FROM orders WHERE id % 7 = 0 AND id < $1', [transfers % 600]);
    }
    await client.end();
  };
  const writers = Array.from({ length: WRITERS }, write);
  const dispose = async () => {
    ending.abort();
    await Promise.all(writers);
  };
  return { done: () => transfers, [Symbol.asyncDispose]: dispose };
}

const isCompleted = ({ pipeline }: Facts) => pipeline.phase === 'completed' && pipeline.request === null;

async function open(): Promise<Scenario> {
  const scenario = await Scenario.open(server(), TABLES);
  scenario.define(TABLES, 'snapshot');
  await scenario.sql(DDL);
  await scenario.sql('VACUUM (ANALYZE)');
  return scenario;
}

/** What the copy amounts to: accounts, their sum, and how many balances are not what the copied transfers say. */
async function copied(scenario: Scenario): Promise<{ accounts: number; sum: number; unexplained: number; transfers: number }> {
  const sink = await openSink(scenario.workplace.duckdb);
  try {
    const [row] = (
      await sink.connection.runAndReadAll(`
        WITH moved AS (SELECT source AS id, -amount AS amount FROM public.transfers UNION ALL SELECT target, amount FROM public.transfers),
          total AS (SELECT id, sum(amount) AS amount FROM moved GROUP BY id)
        SELECT count(*)::INT AS accounts, sum(balance)::INT AS sum, (SELECT count(*) FROM public.transfers)::INT AS transfers,
          count(*) FILTER (WHERE balance <> 1000 + coalesce(amount, 0))::INT AS unexplained
        FROM public.accounts LEFT JOIN total USING (id)`)
    ).getRowObjects();
    return row as unknown as Awaited<ReturnType<typeof copied>>;
  } finally {
    sink.close();
  }
}

/** What is left of the pipeline at the source. */
async function traces(scenario: Scenario): Promise<number> {
  const sql = `SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()) + (SELECT count(*) FROM pg_publication)
    + (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'nanosync%view%' AND datname = current_database()) AS n`;
  return Number((await scenario.sql<{ n: string }>(sql))[0]?.n);
}

test('all tables are copied as of one moment while everything moves, and nothing is left at the source', async () => {
  await using scenario = await open();
  await using writers = transferring(scenario.dsn);
  await expect.poll(() => writers.done()).toBeGreaterThan(50);
  scenario.start();
  const { tables } = await scenario.until('completed', isCompleted);
  const views = new Set(tables.map(({ record }) => record.view));
  expect([...views]).toEqual([expect.any(String)]);
  expect(tables.map(({ record }) => record.partitions > 1)).toContain(true);
  await expect.poll(() => traces(scenario)).toBe(0);
  await scenario.stop();
  expect(await copied(scenario)).toMatchObject({ accounts: ACCOUNTS, sum: ACCOUNTS * 1000, unexplained: 0 });
});

test.for([
  ['anchor-stored', 'partition-read-stored:3', 'generation-built:1'],
  ['plan-stored:2', 'rows-staged:2', 'generation-built:2'],
])('killed at %s, %s and %s while everything moves: no table mixes two moments', async (places) => {
  await using scenario = await open();
  await using writers = transferring(scenario.dsn);
  for (const place of places) {
    scenario.start(place);
    await scenario.killedItself();
    const before = writers.done();
    await expect.poll(() => writers.done()).toBeGreaterThan(before + 10); // Something moves while nobody reads.
  }
  scenario.start();
  await scenario.until('completed', isCompleted);
  await scenario.stop();
  expect(await traces(scenario)).toBe(0);
  expect(await copied(scenario)).toMatchObject({ accounts: ACCOUNTS, sum: ACCOUNTS * 1000 });
});

test('the session that holds the moment is ended: what is unread begins again, and all tables are whole', async () => {
  await using scenario = await open();
  await using _writers = transferring(scenario.dsn);
  scenario.start();
  await scenario.until('something was read', ({ tables }) =>
    tables.some(({ partitions }) => partitions.some(({ phase }) => phase === 'read')),
  );
  await scenario.sql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'nanosync%view' AND datname = current_database()",
  );
  await scenario.until('completed', isCompleted);
  await scenario.stop();
  expect(await copied(scenario)).toMatchObject({ accounts: ACCOUNTS, sum: ACCOUNTS * 1000 });
});

test('a completed copy is copied again beside the rows that users see, and becomes a followed pipeline when it is applied so', async () => {
  await using scenario = await open();
  scenario.start();
  const first = await scenario.until('completed', isCompleted);
  await scenario.sql('UPDATE accounts SET balance = balance + 1');
  await askForResnapshot(scenario);
  await scenario.until('completed again', (facts) => isCompleted(facts) && facts.pipeline.anchor?.id !== first.pipeline.anchor?.id);
  await scenario.stop();
  expect(await copied(scenario)).toMatchObject({ accounts: ACCOUNTS, sum: ACCOUNTS * 1001 });
  scenario.define(TABLES);
  scenario.start();
  await scenario.live();
  await scenario.sql('UPDATE accounts SET balance = balance + 1');
  await scenario.drain();
  await scenario.stop();
  expect(await copied(scenario)).toMatchObject({ accounts: ACCOUNTS, sum: ACCOUNTS * 1002 });
});
