import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { sharedServer } from './fixture.ts';
import { goLive } from './losses.ts';
import { expectEqual } from './outcome.ts';
import { expectRepair } from './repair.ts';
import { removeFiles, Scenario } from './scenario.ts';

// Others, and what comes back as it was a while ago, are in `losses.long.test.ts`.
const server = sharedServer();

/** The losses that a resnapshot repairs, each in what the one before has left. */
test('slot and state are lost one after the other, and each is repaired by what status says', async () => {
  await using scenario = await Scenario.open(server());
  await goLive(scenario, 3);
  await scenario.stop();
  await scenario.sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()');
  scenario.start();
  await expectRepair(scenario, /slot .* no longer exists/);

  await goLive(scenario, 5);
  await scenario.kill();
  await scenario.closeState();
  rmSync(`${scenario.workplace.dataDir}/state`, { recursive: true });
  scenario.start();
  await expectRepair(scenario, /state store does not know pipeline/);
});

test('the bus is deleted while the snapshot is under way', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(6);
  scenario.start('partition-read-stored:4');
  await scenario.killedItself();
  rmSync(`${scenario.workplace.dataDir}/bus`, { recursive: true });
  scenario.start();
  await expectRepair(scenario, /[Tt]opic/);
});

test('the DuckDB file is deleted while live, and built anew from the bus', async () => {
  await using scenario = await Scenario.open(server());
  await goLive(scenario, 7);
  removeFiles(scenario.workplace.duckdb);
  await expectEqual(scenario);
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
