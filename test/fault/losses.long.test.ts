import { rmSync } from 'node:fs';
import { test } from 'vitest';
import { sharedServer } from './fixture.ts';
import { confirmed, goLive, restoreOlder } from './losses.ts';
import { expectEqual } from './outcome.ts';
import { expectRepair } from './repair.ts';
import { removeFiles, Scenario } from './scenario.ts';

const server = sharedServer();

test('publication and then bus are lost while live, and each is repaired by what status says', async () => {
  await using scenario = await Scenario.open(server());
  await goLive(scenario, 4);
  await scenario.sql(
    "DO $$ DECLARE p text; BEGIN FOR p IN SELECT pubname FROM pg_publication LOOP EXECUTE format('DROP PUBLICATION %I', p); END LOOP; END $$",
  );
  await expectRepair(scenario, /[Pp]ublication/);

  await goLive(scenario, 6);
  await scenario.kill();
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

test('the DuckDB file is lost, or comes back as it was a while ago, and is built anew from the bus each time', async () => {
  await using scenario = await Scenario.open(server());
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
