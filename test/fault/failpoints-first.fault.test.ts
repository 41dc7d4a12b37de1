import { expect, test } from 'vitest';
import { OF_EVERY_PIPELINE } from './failpoints.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { restart } from './restart.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();

/** Every place is in one of these lives, in the order in which a pipeline comes to them: each process is killed at the next. */
const LIVES = [0, 1, 2].map((life) => OF_EVERY_PIPELINE.filter((_, index) => index % 3 === life));

test.for(LIVES.map((places, index) => [places.join(', '), places, index] as const))('killed at %s, the first time', async ([
  ,
  places,
  index,
]) => {
  await using scenario = await Scenario.open(server());
  scenario.write(index);
  for (const place of places) {
    scenario.start(place);
    await scenario.killedItself();
  }
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
