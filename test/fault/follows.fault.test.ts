import { setTimeout as pause } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { sharedServer } from './fixture.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();
const TABLES = ['public.lines', 'public.docs'];

/** Fills a table by other means than nanosync: rows of keys that the source has, with other values, and of keys that it never has. */
async function fillSink(scenario: Scenario): Promise<void> {
  const instance = await DuckDBInstance.create(scenario.workplace.duckdb);
  const connection = await instance.connect();
  await connection.run('CREATE SCHEMA public');
  await connection.run('CREATE TABLE public.docs (id INTEGER, title VARCHAR, body VARCHAR, n INTEGER)');
  await connection.run("INSERT INTO public.docs SELECT i, 'old ' || i, 'body of the sink', -1 FROM range(1, 101) AS r(i)");
  await connection.run("INSERT INTO public.docs VALUES (900001, 'only here', 'body', -1)");
  connection.closeSync();
  instance.closeSync();
}

async function query(scenario: Scenario, sql: string): Promise<readonly Record<string, unknown>[]> {
  const sink = await openSink(scenario.workplace.duckdb);
  try {
    return (await sink.connection.runAndReadAll(sql)).getRowObjects();
  } finally {
    sink.close();
  }
}

async function open(): Promise<Scenario> {
  const scenario = await Scenario.open(server(), TABLES);
  scenario.define(TABLES, 'cdc');
  await fillSink(scenario);
  return scenario;
}

/** Writes rows again and again, as they are, until it is disposed of. */
function touching(scenario: Scenario): AsyncDisposable {
  const ending = new AbortController();
  const write = async () => {
    while (!ending.signal.aborted) {
      await scenario.sql('UPDATE lines SET quantity = quantity WHERE line = 0');
      await pause(100, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  };
  const writing = write();
  const dispose = async () => {
    ending.abort();
    await writing;
  };
  return { [Symbol.asyncDispose]: dispose };
}

test.for([
  ['slot-created', 'plan-stored', 'changes-published:2'],
  ['anchor-stored', 'generation-built', 'changes-applied:2'],
])('the rows of the sink stay as they are and every later change arrives whole, killed at %s, %s and %s', async (places) => {
  await using scenario = await open();
  for (const place of places) {
    scenario.start(place);
    // Something to publish and apply, once there is an anchor: before it nothing counts.
    if (place.startsWith('changes')) {
      await scenario.until('anchored', ({ pipeline }) => pipeline.anchor !== null);
      await using _writer = touching(scenario);
      await scenario.killedItself();
    } else await scenario.killedItself();
  }
  scenario.start();
  await scenario.live();
  // The body is large and not in the log: for rows that the sink has other bodies of, and for rows that it lacks.
  await scenario.sql('UPDATE docs SET n = n + 1 WHERE id BETWEEN 90 AND 120');
  await scenario.sql('UPDATE docs SET id = 500000 WHERE id = 130');
  await scenario.sql('DELETE FROM docs WHERE id IN (5, 140)');
  await scenario.drain();
  await scenario.stop();
  expect(
    await query(
      scenario,
      `SELECT count(*)::INT AS rows, count(*) FILTER (WHERE n = -1 AND body IN ('body of the sink', 'body'))::INT AS old,
           count(*) FILTER (WHERE n = 1 AND length(body) > 2000)::INT AS changed, count(*) FILTER (WHERE id = 500000)::INT AS moved FROM public.docs`,
    ),
  ).toEqual([{ rows: 88 + 1 + 31 + 1, old: 88 + 1, changed: 31, moved: 1 }]);
  const kept = await query(scenario, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'public'");
  expect(kept).toEqual([{ table_name: expect.stringMatching(/^docs before nanosync /) }]);
});

test('a table with other columns is refused before anything is made, with a sentence for each', async () => {
  await using scenario = await Scenario.open(server(), TABLES);
  scenario.define(TABLES, 'cdc');
  const instance = await DuckDBInstance.create(scenario.workplace.duckdb);
  const connection = await instance.connect();
  await connection.run('CREATE SCHEMA public; CREATE TABLE public.docs (id BIGINT, title VARCHAR, n INTEGER, more VARCHAR)');
  connection.closeSync();
  instance.closeSync();
  scenario.start();
  await scenario.process.ended;
  const said = scenario.tail();
  for (const sentence of ['column id of public.docs in DuckDB is BIGINT, not INTEGER', 'has no column body', 'has a column more'])
    expect(said).toContain(sentence);
  expect(await scenario.sql('SELECT 1 FROM pg_replication_slots WHERE database = current_database()')).toEqual([]);
});
