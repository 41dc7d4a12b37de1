import { setTimeout as pause } from 'node:timers/promises';
import type { PostgresServer } from '@nanosync/testkit';
import { expectEqual } from './outcome.ts';
import { Scenario } from './scenario.ts';

/** When a pipeline is interrupted. */
export const MOMENTS = ['while it copies', 'while it is live'] as const;
export type Moment = (typeof MOMENTS)[number];

/** A PostgreSQL that gives a stopped reader up soon. */
export const SETTINGS = { wal_sender_timeout: '2s' };

/** A pipeline whose process is at this moment. */
export async function scenarioAt(server: PostgresServer, moment: Moment, seed: number): Promise<Scenario> {
  const scenario = await Scenario.open(server);
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

/** The process is stopped until the server has given it up, and goes on. */
export async function stopAndResume(server: PostgresServer, moment: Moment): Promise<void> {
  await using scenario = await scenarioAt(server, moment, 1);
  await untilWalsender(scenario, (pid) => pid !== null);
  process.kill(scenario.process.pid, 'SIGSTOP');
  await untilWalsender(scenario, (pid) => pid === null);
  process.kill(scenario.process.pid, 'SIGCONT');
  await scenario.live();
  await expectEqual(scenario);
}

/** The source ends in this way and comes back. */
export async function restartSource(server: PostgresServer, mode: 'fast' | 'immediate' | 'kill', moment: Moment): Promise<void> {
  await using scenario = await scenarioAt(server, moment, 2);
  await server.restart(mode);
  scenario.invariants.interrupted();
  await scenario.live();
  await untilWalsender(scenario, (pid) => pid !== null);
  await expectEqual(scenario);
}

/** The stream is ended as soon as it is there, four times. */
export async function endStream(server: PostgresServer, moment: Moment): Promise<void> {
  await using scenario = await scenarioAt(server, moment, 3);
  let before: number | null = null;
  for (let round = 0; round < 4; round++) {
    before = await untilWalsender(scenario, (pid) => pid !== null && pid !== before);
    await scenario.sql('SELECT pg_terminate_backend($1)', [before]);
  }
  await scenario.live();
  await expectEqual(scenario);
}
