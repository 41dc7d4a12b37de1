import { expect, test } from 'vitest';
import { OF_EVERY_PIPELINE } from './failpoints.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { restart } from './restart.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();

test.for(OF_EVERY_PIPELINE.map((name, index) => [name, index] as const))('killed at %s, the first time', async ([name, index]) => {
  await using scenario = await Scenario.open(server());
  scenario.write(index);
  scenario.start(name);
  await scenario.killedItself();
  await restart(scenario, index);
  await scenario.live();
  // The copy may have ended before the writers got to each table.
  await scenario.until('each table was changed', ({ tables }) => tables.every(({ sink }) => (sink?.changesApplied ?? 0) > 0));
  await expectEqual(scenario);
});

test('a failpoint that is never reached fails the scenario', async () => {
  await using scenario = await Scenario.open(server());
  scenario.start('generation-built:100');
  await scenario.live();
  await scenario.stop();
  await expect(scenario.killedItself()).rejects.toThrow('The failpoint was not reached');
});
