import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'vitest';
import { sharedServer } from './fixture.ts';
import { endStream, restartSource, SETTINGS, scenarioAt, stopAndResume } from './interruptions.ts';
import { expectEqual } from './outcome.ts';

// One of each here; `interruptions.long.test.ts` has them at every moment and in every way.
const server = sharedServer({ settings: SETTINGS });

test('stopped for longer than the server waits, and resumed, while it is live', () => stopAndResume(server(), 'while it is live'));

test('PostgreSQL restarts (kill) while it copies', () => restartSource(server(), 'kill', 'while it copies'));

test('PostgreSQL restarts (fast) while it is live', () => restartSource(server(), 'fast', 'while it is live'));

test('the walsender is ended again and again while it copies', () => endStream(server(), 'while it copies'));

test('every connection of the process is ended while it copies', async () => {
  await using scenario = await scenarioAt(server(), 'while it copies', 4);
  for (let round = 0; round < 3; round++) {
    await scenario.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'nanosync%'",
    );
    scenario.invariants.interrupted();
    await pause(100);
  }
  await scenario.live();
  await expectEqual(scenario);
});

test('killed twice in a row, the second time as soon as it serves', async () => {
  await using scenario = await scenarioAt(server(), 'while it copies', 5);
  await scenario.kill();
  await scenario.serve();
  await scenario.kill();
  await scenario.serve();
  await scenario.kill();
  scenario.start();
  await scenario.live();
  await scenario.kill();
  await scenario.serve();
  await scenario.kill();
  scenario.start();
  await scenario.live();
  await expectEqual(scenario);
});
