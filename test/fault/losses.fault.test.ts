import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { expectRepair } from './repair.ts';
import { removeFiles, Scenario } from './scenario.ts';

const server = sharedServer();

/** Writers and process begin, or begin again, and changes of this life arrive. */
async function goLive(scenario: Scenario, seed: number): Promise<void> {
  const published = (await scenario.look())?.capture?.eventsPublished ?? 0;
  scenario.write(seed);
  await scenario.serve();
  await scenario.live();
  await scenario.until('changes arrive', ({ capture }) => (capture?.eventsPublished ?? 0) > published + 20);
}

/** The losses that a resnapshot repairs, each in what the one before has left. */
test('slot, publication and state are lost one after the other, and each is repaired by what status says', async () => {
  await using scenario = await Scenario.open(server());
  await goLive(scenario, 3);
  await scenario.stop();
  await scenario.sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()');
  scenario.start();
  await expectRepair(scenario, /slot .* no longer exists/);

  await goLive(scenario, 4);
  await scenario.sql(
    "DO $$ DECLARE p text; BEGIN FOR p IN SELECT pubname FROM pg_publication LOOP EXECUTE format('DROP PUBLICATION %I', p); END LOOP; END $$",
  );
  await expectRepair(scenario, /[Pp]ublication/);

  await goLive(scenario, 5);
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

/** The slot has been told that this place is published: until then an older state has lost nothing that it needs. */
async function confirmed(scenario: Scenario, published: string): Promise<void> {
  const lsn = BigInt(`0x${published.slice(0, 16)}`);
  const place = `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`;
  const slots = `SELECT 1 FROM pg_replication_slots WHERE database = current_database() AND confirmed_flush_lsn > '${place}'`;
  await vi.waitUntil(async () => (await scenario.sql(slots)).length > 0, { timeout: 60_000 });
}

test('the DuckDB file is lost in three ways, and built anew from the bus each time', async () => {
  await using scenario = await Scenario.open(server());
  await goLive(scenario, 7);
  removeFiles(scenario.workplace.duckdb); // While live.
  await expectEqual(scenario);

  await goLive(scenario, 8);
  await scenario.kill();
  removeFiles(scenario.workplace.duckdb); // While the process is away.
  scenario.start();
  await expectEqual(scenario);

  await goLive(scenario, 10);
  await restoreOlder(scenario, scenario.workplace.duckdb); // As it was a while ago.
  await expectEqual(scenario);
});

test('bus and then state come back as they were a while ago', async () => {
  await using scenario = await Scenario.open(server());
  await goLive(scenario, 11);
  await restoreOlder(scenario, `${scenario.workplace.dataDir}/bus`);
  await expectRepair(scenario, /has lost its newest messages|no longer has the last applied message/);

  await goLive(scenario, 12);
  await restoreOlder(scenario, `${scenario.workplace.dataDir}/state`, (published) => confirmed(scenario, published));
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
