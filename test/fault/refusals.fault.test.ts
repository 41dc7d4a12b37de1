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

test('the folder of the sink is away while it copies, while it is live and when it starts: it waits, says why, and goes on', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(2);
  scenario.start();
  await scenario.until('partly read', ({ tables }) => tables.some(({ partitions }) => partitions.some(({ phase }) => phase === 'durable')));
  await withoutFolder(scenario);
  await scenario.says(/sink writer begins again .*does not exist/);
  await scenario.live();
  await saysNoMore(scenario);
  await withoutFolder(scenario);
  await scenario.drain();
  await saysNoMore(scenario);
  await scenario.stop();

  const away = `${scenario.sinkFolder}.away`;
  renameSync(scenario.sinkFolder, away);
  scenario.write(3);
  scenario.start();
  await scenario.says(/sink writer begins again .*does not exist/);
  renameSync(away, scenario.sinkFolder);
  await expectEqual(scenario);
});

/** It is said until the sink has been written for a while. */
async function saysNoMore(scenario: Scenario): Promise<void> {
  await vi.waitFor(() => expect(nanosync(scenario, 'status').output).not.toContain('does not exist'), { timeout: 30_000, interval: 500 });
}

/** Takes the folder away until status says so. */
async function withoutFolder(scenario: Scenario): Promise<void> {
  const away = `${scenario.sinkFolder}.away`;
  renameSync(scenario.sinkFolder, away);
  const said = () => expect(nanosync(scenario, 'status').output).toMatch(/the folder \S+ of the DuckDB file does not exist/);
  await vi.waitFor(said, { timeout: 30_000, interval: 300 });
  renameSync(away, scenario.sinkFolder);
}
