import { expect, test } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { nanosync } from './command.ts';
import type { Facts } from './facts.ts';
import { OF_A_TABLE_TAKEN_OUT } from './failpoints.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { Scenario } from './scenario.ts';
import { TABLES } from './shop.ts';

const server = sharedServer();

const REST = TABLES.filter((table) => table !== 'public.lines');

/** What users see of the table that was taken out, when no process has the file open. */
async function lines(scenario: Scenario, columns = 'code, line, quantity'): Promise<readonly (readonly unknown[])[]> {
  const sink = await openSink(scenario.workplace.duckdb);
  try {
    return (await sink.connection.runAndReadAll(`SELECT ${columns} FROM public.lines ORDER BY code, line`)).getRowsJson();
  } finally {
    sink.close();
  }
}

async function column(scenario: Scenario, name: string): Promise<readonly unknown[]> {
  return (await lines(scenario, name)).map(([cell]) => cell);
}

/** Nothing of the table is left but its rows. */
async function gone(scenario: Scenario): Promise<void> {
  await scenario.until('taken out', ({ pipeline, tables }) => pipeline.leaving?.length === 0 && tables.length === REST.length);
  expect(await scenario.sql("SELECT 1 FROM pg_publication_tables WHERE tablename = 'lines'")).toEqual([]);
}

test('a table is taken out of a live pipeline while everything is written to, with a kill; the others lose nothing, and it comes again over its rows', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(11);
  scenario.start();
  await scenario.live();
  scenario.define(REST);
  const { output, status } = nanosync(scenario, 'apply', '-f', scenario.workplace.pipelinesFile);
  expect({ output, status }).toMatchObject({
    status: 0,
    output: expect.stringContaining('table public.lines is taken out: it is followed no more, its rows stay at the sink'),
  });
  await scenario.kill();
  scenario.start();
  await gone(scenario);
  const applied = ({ tables }: Facts) => tables.map(({ sink }) => sink?.changesApplied ?? 0);
  const before = applied(await expectEqual(scenario, REST));
  const left = await lines(scenario);
  expect(left.length).toBeGreaterThan(0);
  scenario.write(12);
  scenario.start();
  await scenario.until('the others go on', (facts) => applied(facts).every((count, table) => count > (before[table] ?? 0)));
  await scenario.stop();
  expect(await lines(scenario)).toEqual(left);
  // Meanwhile it can be altered: in a pipeline that has it that would be the end of all of them.
  await scenario.sql("ALTER TABLE lines ADD COLUMN note text DEFAULT 'of now'");
  scenario.define(TABLES);
  scenario.start();
  await scenario.live();
  await scenario.until(
    'it is followed again',
    (facts) => facts.tables.length === TABLES.length && applied(facts).every((count) => count > 0),
  );
  await expectEqual(scenario);
  expect(new Set(await column(scenario, 'note'))).toEqual(new Set(['of now']));
});

test('a table is taken out by a start that is killed at each step of its way', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(13);
  scenario.start();
  await scenario.live();
  await scenario.stop();
  scenario.define(REST);
  for (const failpoint of OF_A_TABLE_TAKEN_OUT) {
    scenario.start(failpoint);
    await scenario.killedItself();
  }
  scenario.start();
  await gone(scenario);
  await scenario.kill();
  scenario.start();
  await expectEqual(scenario, REST);
});
