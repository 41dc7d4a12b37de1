import { setTimeout as pause } from 'node:timers/promises';
import { FAILPOINTS } from '@nanosync/core';
import { test } from 'vitest';
import { randomOf } from '../shared/random.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { askForResnapshot } from './repair.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer({ settings: { wal_sender_timeout: '2s' } });

/** Seeds to run: one here, or those from FAULT_SEED on, FAULT_SEEDS many. */
const FIRST = Number(process.env.FAULT_SEED ?? 1);
const SEEDS = Array.from({ length: Number(process.env.FAULT_SEEDS ?? 1) }, (_, index) => FIRST + index);

/** Things that happen to a pipeline, each of which it has to survive without a person. */
const MISHAPS: readonly ((scenario: Scenario, random: () => number) => Promise<void>)[] = [
  async (scenario) => {
    await scenario.kill();
    scenario.start();
  },
  async (scenario, random) => {
    await scenario.kill();
    scenario.start(`${FAILPOINTS[Math.floor(random() * FAILPOINTS.length)]}:${1 + Math.floor(random() * 6)}`);
    await Promise.race([scenario.process.ended, pause(1500)]);
    await scenario.kill();
    scenario.start();
  },
  async (scenario) => {
    const statement =
      'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database() AND active_pid IS NOT NULL';
    await scenario.sql(statement);
  },
  async (scenario, random) => {
    process.kill(scenario.process.pid, 'SIGSTOP');
    await pause(random() * 3000);
    process.kill(scenario.process.pid, 'SIGCONT');
  },
  async (scenario, random) => {
    await scenario.sql(
      ['VACUUM (FULL) docs', 'CLUSTER orders USING orders_pkey', 'TRUNCATE scratch', 'VACUUM (FULL) lines', 'TRUNCATE lines'][
        Math.floor(random() * 5)
      ] ?? '',
    );
  },
  async (scenario, random) => {
    await server().restart((['fast', 'immediate', 'kill'] as const)[Math.floor(random() * 3)]);
    scenario.invariants.interrupted();
  },
  async (scenario) => askForResnapshot(scenario),
];

test.for(SEEDS)('mishaps of seed %i', async (seed) => {
  const random = randomOf(seed * 7919);
  await using scenario = await Scenario.open(server());
  scenario.write(seed);
  scenario.start();
  await scenario.until('known', () => true);
  for (let left = 4 + Math.floor(random() * 4); left > 0; left--) {
    await pause(random() * 1200);
    const which = Math.floor(random() * MISHAPS.length);
    if (process.env.FAULT_SEEDS !== undefined) console.log(`seed ${seed}: ${which}`);
    await MISHAPS[which]?.(scenario, random);
  }
  await scenario.live();
  await expectEqual(scenario);
});
