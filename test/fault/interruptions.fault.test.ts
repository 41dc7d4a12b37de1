import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'vitest';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer({ settings: { wal_sender_timeout: '2s' } });

const MOMENTS = ['while it copies', 'while it is live'] as const;

/** A pipeline whose process is at this moment. */
async function scenarioAt(moment: (typeof MOMENTS)[number], seed: number): Promise<Scenario> {
  const scenario = await Scenario.open(server());
  scenario.write(seed);
  scenario.start();
  if (moment === 'while it is live') await scenario.live();
  else
    await scenario.until('partly read', ({ tables }) =>
      tables.some(({ partitions }) => partitions.some(({ phase }) => phase === 'durable')),
    );
  return scenario;
}

/** The process that streams from the scenario's slot. */
async function walsender(scenario: Scenario): Promise<number | null> {
  const sql = 'SELECT active_pid AS pid FROM pg_replication_slots WHERE database = current_database()';
  return (await scenario.sql<{ pid: number | null }>(sql))[0]?.pid ?? null;
}

async function untilWalsender(scenario: Scenario, wanted: (pid: number | null) => boolean): Promise<number | null> {
  for (const until = performance.now() + 30_000; performance.now() < until; await pause(20)) {
    const pid = await walsender(scenario);
    if (wanted(pid)) return pid;
  }
  throw new Error(`the walsender is not as it should be\n${scenario.tail()}`);
}

test.for(MOMENTS)('stopped for longer than the server waits, and resumed, %s', async (moment) => {
  await using scenario = await scenarioAt(moment, 1);
  await untilWalsender(scenario, (pid) => pid !== null);
  process.kill(scenario.process.pid, 'SIGSTOP');
  await untilWalsender(scenario, (pid) => pid === null);
  process.kill(scenario.process.pid, 'SIGCONT');
  await scenario.live();
  await expectEqual(scenario);
});

test.for(
  MOMENTS.flatMap((moment) => (['fast', 'immediate', 'kill'] as const).map((mode) => [mode, moment] as const)),
)('PostgreSQL restarts (%s) %s', async ([mode, moment]) => {
  await using scenario = await scenarioAt(moment, 2);
  await server().restart(mode);
  scenario.invariants.interrupted();
  await scenario.live();
  await untilWalsender(scenario, (pid) => pid !== null);
  await expectEqual(scenario);
});

test.for(MOMENTS)('the walsender is ended again and again %s', async (moment) => {
  await using scenario = await scenarioAt(moment, 3);
  let before: number | null = null;
  for (let round = 0; round < 4; round++) {
    before = await untilWalsender(scenario, (pid) => pid !== null && pid !== before);
    await scenario.sql('SELECT pg_terminate_backend($1)', [before]);
  }
  await scenario.live();
  await expectEqual(scenario);
});

test('every connection of the process is ended while it copies', async () => {
  await using scenario = await scenarioAt('while it copies', 4);
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
  await using scenario = await scenarioAt('while it copies', 5);
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
