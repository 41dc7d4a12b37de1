import { setTimeout as pause } from 'node:timers/promises';
import type { FailpointName } from '@nanosync/core';
import { FAILPOINTS } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nanosync } from './command.ts';
import { expectEqual } from './outcome.ts';
import { randomOf } from './random.ts';
import { PIPELINE, prepareTemplate, Scenario } from './scenario.ts';

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres();
  await prepareTemplate(server);
});

afterAll(() => server?.stop());

/** A later hit of each place, somewhere in the middle of what a snapshot of the shop and its handoff reach. */
const LATER: Readonly<Record<FailpointName, number>> = {
  // Reached once a life of the slot: the second time is in a resnapshot.
  'slot-created': 2,
  'anchor-stored': 2,
  'plan-stored': 3,
  'task-emitted': 6,
  'partition-taken': 7,
  'batch-published': 5,
  'end-marker-published': 6,
  'partition-read-stored': 8,
  'rows-staged': 3,
  'generation-built': 3,
  'changes-published': 12,
  'published-stored': 15,
  acknowledged: 9,
  'changes-applied': 6,
};
const IN_RESNAPSHOT: readonly FailpointName[] = ['slot-created', 'anchor-stored'];

const seedOf = (name: FailpointName, hit: number) => FAILPOINTS.indexOf(name) * 100 + hit;

/** The process starts again; every second time it is killed once more, somewhere. */
async function restart(scenario: Scenario, seed: number): Promise<void> {
  const random = randomOf(seed);
  scenario.start();
  if (random() < 0.5) return;
  await pause(500 + random() * 1500);
  await scenario.kill();
  scenario.start();
}

test.for(FAILPOINTS.map((name) => [name] as const))('killed at %s, the first time', async ([name]) => {
  await using scenario = await Scenario.open(server);
  scenario.write(seedOf(name, 1));
  scenario.start(name);
  await scenario.killedItself();
  await restart(scenario, seedOf(name, 1));
  await scenario.live();
  await expectEqual(scenario);
});

test.for(FAILPOINTS.map((name) => [name, LATER[name]] as const))('killed at %s, time %i', async ([name, hit]) => {
  await using scenario = await Scenario.open(server);
  scenario.write(seedOf(name, hit));
  scenario.start(`${name}:${hit}`);
  if (IN_RESNAPSHOT.includes(name)) {
    await scenario.live();
    expect(nanosync(scenario, 'pipeline', 'resnapshot', PIPELINE).status).toBe(0);
  }
  await scenario.killedItself();
  await restart(scenario, seedOf(name, hit));
  await scenario.live();
  await expectEqual(scenario);
});

test('a failpoint that is never reached fails the scenario', async () => {
  await using scenario = await Scenario.open(server);
  scenario.start('generation-built:100');
  await scenario.live();
  await scenario.stop();
  await expect(scenario.killedItself()).rejects.toThrow('The failpoint was not reached');
});
