import { renameSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { nanosync } from './command.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();

test('a second server on one data folder is refused and harms nothing', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(1);
  const first = scenario.start();
  await scenario.until('partly read', ({ tables }) => tables.some(({ partitions }) => partitions.some(({ phase }) => phase === 'durable')));
  const second = nanosync(scenario, 'start', '-f', scenario.workplace.pipelinesFile);
  expect(second.status).toBeGreaterThan(0);
  expect(second.output).toContain(`is already served by another nanosync (process ${first.pid})`);
  await scenario.live();
  expect(nanosync(scenario, 'start')).toMatchObject({ status: second.status });
  await expectEqual(scenario);
});

test.for([
  'while it copies',
  'while it is live',
] as const)('the folder of the sink is away %s: it waits, says why, and goes on', async (moment) => {
  await using scenario = await Scenario.open(server());
  const away = `${scenario.sinkFolder}.away`;
  scenario.write(2);
  scenario.start();
  if (moment === 'while it is live') await scenario.live();
  else
    await scenario.until('partly read', ({ tables }) =>
      tables.some(({ partitions }) => partitions.some(({ phase }) => phase === 'durable')),
    );
  renameSync(scenario.sinkFolder, away);
  await scenario.says(/sink writer begins again .*does not exist/);
  expect(nanosync(scenario, 'status').output).toMatch(/the folder \S+ of the DuckDB file does not exist/);
  renameSync(away, scenario.sinkFolder);
  await scenario.live();
  await scenario.drain();
  // Said until the sink has been written for a while.
  await vi.waitFor(() => expect(nanosync(scenario, 'status').output).not.toContain('does not exist'), { timeout: 30_000, interval: 500 });
  await scenario.stop();

  renameSync(scenario.sinkFolder, away);
  scenario.write(3);
  scenario.start();
  await scenario.says(/sink writer begins again .*does not exist/);
  renameSync(away, scenario.sinkFolder);
  await expectEqual(scenario);
});
