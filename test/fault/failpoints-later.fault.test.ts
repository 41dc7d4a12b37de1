import type { FailpointName } from '@nanosync/core';
import { test } from 'vitest';
import { OF_EVERY_PIPELINE } from './failpoints.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { askForResnapshot } from './repair.ts';
import { restart } from './restart.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();

/** A later hit of each place, somewhere in the middle of what a snapshot of the shop and its handoff reach. */
const LATER: Readonly<Record<(typeof OF_EVERY_PIPELINE)[number], number>> = {
  // Reached once a life of the slot: the second time is in a resnapshot.
  'slot-created': 2,
  'anchor-stored': 2,
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
const IN_RESNAPSHOT: readonly FailpointName[] = ['slot-created', 'anchor-stored'];

test.for(OF_EVERY_PIPELINE.map((name, index) => [name, LATER[name], index] as const))('killed at %s, time %i', async ([
  name,
  hit,
  index,
]) => {
  await using scenario = await Scenario.open(server());
  const seed = 100 + index;
  scenario.write(seed);
  scenario.start(`${name}:${hit}`);
  if (IN_RESNAPSHOT.includes(name)) {
    await scenario.live();
    askForResnapshot(scenario);
  }
  await scenario.killedItself();
  await restart(scenario, seed);
  await scenario.live();
  await expectEqual(scenario);
});
