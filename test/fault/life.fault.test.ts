import { expect, test } from 'vitest';
import { nanosync } from './command.ts';
import { OF_A_DELETION } from './failpoints.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { Scenario } from './scenario.ts';
import { TABLES } from './shop.ts';

const server = sharedServer();

function ask(scenario: Scenario, ...command: readonly string[]): void {
  expect(nanosync(scenario, 'pipeline', ...command)).toMatchObject({ status: 0 });
}

/** Slots and publications of the scenario's database. */
async function atSource(scenario: Scenario): Promise<readonly string[]> {
  const rows = await scenario.sql<{ name: string }>(
    'SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database() UNION ALL SELECT pubname FROM pg_publication',
  );
  return rows.map(({ name }) => name);
}

/** How far the slot lets the log go, and whether somebody reads it. */
async function slot(scenario: Scenario): Promise<{ readonly confirmed: string; readonly active: boolean } | undefined> {
  const [row] = await scenario.sql<{ confirmed: string; active: boolean }>(
    'SELECT confirmed_flush_lsn::text AS confirmed, active FROM pg_replication_slots WHERE database = current_database()',
  );
  return row;
}

test('a pipeline that is paused in its snapshot reads nothing, also after kill -9, and goes on where it was', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(1);
  scenario.start('partition-taken:6');
  await scenario.killedItself();
  await scenario.serve();
  ask(scenario, 'pause', 'shop');
  await scenario.until('paused', ({ pipeline }) => pipeline.phase === 'paused');
  for (let active = true; active; ) active = (await slot(scenario))?.active ?? false;
  const before = await slot(scenario);
  expect(nanosync(scenario, 'status').output).toMatch(/paused: nothing is read; .*nanosync pipeline resume shop/);
  await scenario.kill();
  await scenario.serve();
  expect((await scenario.look())?.pipeline.phase).toBe('paused');
  expect(await slot(scenario)).toEqual(before);
  ask(scenario, 'resume', 'shop');
  await scenario.live();
  await expectEqual(scenario);
});

test('a paused sink is written nothing while the source drops its log; a resumed one gets all of it', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(2);
  scenario.start();
  await scenario.live();
  ask(scenario, 'pause', 'shop', '--sink');
  const paused = await scenario.until('sink paused', ({ pipeline }) => pipeline.intent.sink === 'paused');
  const published = paused.capture?.eventsPublished ?? 0;
  const confirmed = (await slot(scenario))?.confirmed;
  await scenario.until('capture goes on', ({ capture }) => (capture?.eventsPublished ?? 0) > published + 300);
  const applied = (await scenario.look())?.tables.map(({ sink }) => sink?.changesApplied);
  await scenario.kill();
  scenario.start();
  const later = await scenario.until('capture goes on', ({ capture }) => (capture?.eventsPublished ?? 0) > published + 600);
  expect(later.tables.map(({ sink }) => sink?.changesApplied)).toEqual(applied);
  expect((await slot(scenario))?.confirmed).not.toBe(confirmed);
  expect(nanosync(scenario, 'status')).toMatchObject({ status: 0, output: expect.stringContaining('sink paused') });
  ask(scenario, 'resume', 'shop', '--sink');
  await expectEqual(scenario);
});

/** Waits until the planner has taken the record away. */
async function deleted(scenario: Scenario): Promise<void> {
  await scenario.says(/pipeline deleted/);
  expect(await scenario.look()).toBeUndefined();
}

test('a pipeline that is deleted under load and killed at each step leaves only its rows, which a new one of its name replaces', {
  timeout: 300_000,
}, async () => {
  await using scenario = await Scenario.open(server());
  const [first, ...later] = OF_A_DELETION;
  scenario.start(first);
  await scenario.live();
  scenario.write(3);
  expect(nanosync(scenario, 'pipeline', 'delete', 'shop')).toMatchObject({ status: 2, output: expect.stringContaining('--yes') });
  ask(scenario, 'delete', 'shop', '--yes');
  await scenario.killedItself();
  for (const failpoint of later) {
    scenario.start(failpoint, 'stored');
    await scenario.killedItself();
  }
  scenario.start(undefined, 'stored');
  await deleted(scenario);
  expect(await atSource(scenario)).toEqual([]);
  expect(nanosync(scenario, 'apply', '-f', scenario.workplace.pipelinesFile)).toMatchObject({ status: 0 });
  await scenario.live();
  expect(await atSource(scenario)).toHaveLength(2);
  await expectEqual(scenario);
});

test('with its tables nothing is left of a pipeline', async () => {
  await using scenario = await Scenario.open(server());
  scenario.start();
  await scenario.live();
  ask(scenario, 'delete', 'shop', '--drop-tables', '--yes');
  await deleted(scenario);
  expect(await atSource(scenario)).toEqual([]);
  expect(nanosync(scenario, 'status').output).toContain('no pipelines yet');
  scenario.write(4);
  expect(nanosync(scenario, 'apply', '-f', scenario.workplace.pipelinesFile)).toMatchObject({ status: 0 });
  await scenario.live();
  await expectEqual(scenario);
  // And without them: who applies it as `cdc` hears with which rows it begins, before anything is done.
  scenario.start(undefined, 'stored');
  await scenario.says(/nanosync serving/);
  ask(scenario, 'delete', 'shop', '--yes');
  await deleted(scenario);
  scenario.define(TABLES, 'cdc');
  const { output } = nanosync(scenario, 'apply', '-f', scenario.workplace.pipelinesFile, '--dry-run');
  for (const table of TABLES)
    expect(output).toMatch(
      new RegExp(`table ${table} begins with the rows that pipeline shop left, with all changes up to [0-9A-F]+\\+[0-9A-F]+: what changed`),
    );
});
