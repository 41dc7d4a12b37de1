import { expect, test } from 'vitest';
import { OF_EVERY_PIPELINE } from './failpoints.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { restart } from './restart.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();

/** Places that only an anchor has; `failpoints-later.fault.test.ts` is about them. */
const OF_AN_ANCHOR = ['slot-created', 'anchor-stored'] as const;
type Place = Exclude<(typeof OF_EVERY_PIPELINE)[number], (typeof OF_AN_ANCHOR)[number]>;

/** A later hit of each place, somewhere in the middle of what a snapshot of the shop and its handoff reach. */
const LATER: Readonly<Record<Place, number>> = {
  'plan-stored': 3,
  'task-emitted': 6,
  'partition-taken': 7,
  'batch-published': 5,
  'end-marker-published': 6,
  'partition-read-stored': 8,
  'rows-staged': 2, // How many batches come at once depends on the machine.
  'generation-built': 3,
  'changes-published': 12,
  'published-stored': 15,
  acknowledged: 9,
  'changes-applied': 6,
};

/** Each is reached again after a kill at the other, which comes before it on the way. */
const PAIRS: readonly (readonly [Place, Place])[] = [
  ['plan-stored', 'rows-staged'],
  ['task-emitted', 'generation-built'],
  ['partition-taken', 'changes-published'],
  ['batch-published', 'published-stored'],
  ['end-marker-published', 'acknowledged'],
  ['partition-read-stored', 'changes-applied'],
];

test.for(
  PAIRS.map(([first, second], index) => [first, LATER[first], second, LATER[second], index] as const),
)('killed at %s, time %i, and at %s, time %i of the next life', async ([first, firstHit, second, secondHit, index]) => {
  await using scenario = await Scenario.open(server());
  const seed = 100 + index;
  scenario.write(seed);
  scenario.start(`${first}:${firstHit}`);
  await scenario.killedItself();
  scenario.start(`${second}:${secondHit}`);
  await scenario.killedItself();
  await restart(scenario, seed);
  await scenario.live();
  await expectEqual(scenario);
});

test('that is every place', () => {
  expect([...PAIRS.flat(), ...OF_AN_ANCHOR].sort()).toEqual([...OF_EVERY_PIPELINE].sort());
});
