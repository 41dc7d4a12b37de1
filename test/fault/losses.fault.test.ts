import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { expectRepair } from './repair.ts';
import { removeFiles, Scenario } from './scenario.ts';

const server = sharedServer();

async function liveScenario(seed: number): Promise<Scenario> {
  const scenario = await Scenario.open(server());
  scenario.write(seed);
  scenario.start();
  await scenario.live();
  return scenario;
}

test('the slot is dropped while the process is away', async () => {
  await using scenario = await liveScenario(3);
  await scenario.stop();
  await scenario.sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()');
  scenario.start();
  await expectRepair(scenario, /slot .* no longer exists/);
});

test('the publication is dropped while live', async () => {
  await using scenario = await liveScenario(4);
  await scenario.sql(
    "DO $$ DECLARE p text; BEGIN FOR p IN SELECT pubname FROM pg_publication LOOP EXECUTE format('DROP PUBLICATION %I', p); END LOOP; END $$",
  );
  await expectRepair(scenario, /[Pp]ublication/);
});

test('the state is deleted while bus and sink stay', async () => {
  await using scenario = await liveScenario(5);
  await scenario.kill();
  await scenario.closeState();
  rmSync(`${scenario.workplace.dataDir}/state`, { recursive: true });
  scenario.start();
  await expectRepair(scenario, /state store does not know pipeline/);
});

test.for(['while the snapshot is under way', 'while it is live'] as const)('the bus is deleted %s', async (when) => {
  await using scenario = await Scenario.open(server());
  scenario.write(6);
  scenario.start(when === 'while it is live' ? undefined : 'partition-read-stored:4');
  if (when === 'while it is live') await scenario.live().then(() => scenario.kill());
  else await scenario.killedItself();
  rmSync(`${scenario.workplace.dataDir}/bus`, { recursive: true });
  scenario.start();
  await expectRepair(scenario, /[Tt]opic/);
});

test('the DuckDB file is deleted while live: it is built anew from the bus', async () => {
  await using scenario = await liveScenario(7);
  removeFiles(scenario.workplace.duckdb);
  await expectEqual(scenario);
});

test('the DuckDB file is deleted while the process is away: it is built anew from the bus', async () => {
  await using scenario = await liveScenario(8);
  await scenario.kill();
  removeFiles(scenario.workplace.duckdb);
  scenario.start();
  await expectEqual(scenario);
});

test('the DuckDB file is deleted while the snapshot is under way: what is on the bus is staged again', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(9);
  scenario.start('rows-staged:1');
  await scenario.killedItself();
  removeFiles(scenario.workplace.duckdb);
  scenario.start();
  await scenario.live();
  await expectEqual(scenario);
});

/** Kills the process and puts back what it had written to a path a while before. */
async function restoreOlder(scenario: Scenario, path: string, beforeKill = async (_published: string) => {}): Promise<void> {
  await scenario.stop();
  await scenario.closeState();
  const copy = join(scenario.workplace.directory, 'copy');
  cpSync(path, copy, { recursive: true });
  scenario.start();
  const { capture: now } = await scenario.live();
  const before = now?.eventsPublished ?? 0;
  await scenario.until('more was published', ({ capture }) => (capture?.eventsPublished ?? 0) > before + 200);
  await beforeKill(now?.published ?? '');
  await scenario.kill();
  await scenario.closeState();
  removeFiles(path);
  cpSync(copy, path, { recursive: true });
  scenario.start();
}

test('the DuckDB file comes back as it was a while ago: the changes since then are applied again', async () => {
  await using scenario = await liveScenario(10);
  await restoreOlder(scenario, scenario.workplace.duckdb);
  await expectEqual(scenario);
});

test('the bus comes back as it was a while ago', async () => {
  await using scenario = await liveScenario(11);
  await restoreOlder(scenario, `${scenario.workplace.dataDir}/bus`);
  await expectRepair(scenario, /has lost its newest messages|no longer has the last applied message/);
});

test('the state comes back as it was a while ago', async () => {
  await using scenario = await liveScenario(12);
  // What is published is told to the server a moment later: until then an older state has lost nothing that it needs.
  const confirmed = async (published: string) => {
    const lsn = BigInt(`0x${published.slice(0, 16)}`);
    const place = `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`;
    const slots = `SELECT 1 FROM pg_replication_slots WHERE database = current_database() AND confirmed_flush_lsn > '${place}'`;
    await vi.waitUntil(async () => (await scenario.sql(slots)).length > 0, { timeout: 60_000 });
  };
  await restoreOlder(scenario, `${scenario.workplace.dataDir}/state`, confirmed);
  await expectRepair(scenario, /slot .* was moved to/);
});

test('a DuckDB file that has a table of the same name is refused before anything is made', async () => {
  await using scenario = await Scenario.open(server());
  const sink = await openSink(scenario.workplace.duckdb, 'READ_WRITE');
  await sink.connection.run('CREATE SCHEMA public');
  await sink.connection.run('CREATE TABLE public.orders AS SELECT 42 AS mine');
  sink.close();
  const end = await scenario.start().ended;
  expect(end).toMatch(/status [1-9]/);
  expect(scenario.tail()).toMatch(/public\.orders already exists in DuckDB as a table that nanosync did not make/);
  expect(await scenario.sql('SELECT 1 FROM pg_replication_slots WHERE database = current_database()')).toEqual([]);
  const after = await openSink(scenario.workplace.duckdb);
  expect((await after.connection.runAndReadAll('SELECT mine FROM public.orders')).getRows()).toEqual([[42]]);
  after.close();
});
