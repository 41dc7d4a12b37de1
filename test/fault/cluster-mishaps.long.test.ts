import { setTimeout as pause } from 'node:timers/promises';
import { FAILPOINTS } from '@nanosync/core';
import { expect, test, vi } from 'vitest';
import { randomOf } from '../shared/random.ts';
import { ClusterScenario, PROCESSES } from './cluster-scenario.ts';
import { sharedServer } from './fixture.ts';
import { TABLES } from './shop.ts';

vi.setConfig({ testTimeout: 900_000, hookTimeout: 120_000 });

const server = sharedServer({ settings: { wal_sender_timeout: '5s' } });
/** Beyond every lease. */
const FROZEN_MS = 5000;

/** Seeds of random mishaps: none here, or those from FAULT_SEED on, FAULT_SEEDS many. */
const FIRST = Number(process.env.FAULT_SEED ?? 1);
const SEEDS = Array.from({ length: Number(process.env.FAULT_SEEDS ?? 0) }, (_, index) => FIRST + index);

/** Things that happen to a cluster, each of which it has to survive without a person. */
const MISHAPS: readonly ((scenario: ClusterScenario, name: string, random: () => number) => Promise<string | undefined>)[] = [
  async (scenario, name) => {
    await scenario.killAndStart(name);
    return 'killed';
  },
  async (scenario, name, random) => {
    await scenario.fleet.kill(name);
    const failpoint = `${FAILPOINTS[Math.floor(random() * FAILPOINTS.length)]}:${1 + Math.floor(random() * 6)}`;
    await scenario.start(name, failpoint);
    await scenario.ended(name, 8000);
    await scenario.killAndStart(name);
    return failpoint;
  },
  async (scenario, name, random) => {
    await scenario.freeze(name, random() * 12_000);
    return 'frozen';
  },
  async ({ engines }, _, random) => {
    const engine = [engines.kafka, engines.redis, engines.registry][Math.floor(random() * 3)];
    await engine?.kill();
    await pause(random() * 4000);
    await engine?.start();
    return `${engine?.name} killed`;
  },
  async ({ engines }, _, random) => {
    const engine = [engines.kafka, engines.redis][Math.floor(random() * 2)];
    engine?.pause();
    await pause(random() * 15_000);
    engine?.resume();
    return `${engine?.name} paused`;
  },
  async (_, __, random) => {
    await server().restart((['fast', 'immediate', 'kill'] as const)[Math.floor(random() * 3)]);
    return 'postgres restarted';
  },
];

async function expectEqual(scenario: ClusterScenario): Promise<void> {
  const facts = await scenario.drain();
  const compared = await scenario.compare();
  expect(compared.map(({ table, missing, extra, different, findings }) => ({ table, missing, extra, different, findings }))).toEqual(
    TABLES.map((table) => ({ table, missing: 0, extra: 0, different: 0, findings: [] })),
  );
  for (const { sink, captured } of facts.tables)
    expect({ quarantined: sink?.quarantined, defects: sink?.defects, lost: captured?.quarantined }).toEqual({
      quarantined: 0,
      defects: 0,
      lost: 0,
    });
  await scenario.fleet.finish();
}

test.for(SEEDS)('mishaps of seed %i', async (seed) => {
  const random = randomOf(seed * 7919);
  await using scenario = await ClusterScenario.open(server());
  scenario.write(seed);
  await scenario.startAll();
  const names = Object.keys(PROCESSES);
  for (let left = 8 + Math.floor(random() * 6); left > 0; left--) {
    await pause(random() * 6000);
    const name = names[Math.floor(random() * names.length)] ?? '';
    const did = await MISHAPS[Math.floor(random() * MISHAPS.length)]?.(scenario, name, random);
    console.log(`seed ${seed}: ${name}: ${did}`);
  }
  await scenario.live();
  await expectEqual(scenario);
});

test('every process of a cluster is killed, and stopped for longer than its lease, while it copies and while it follows', async () => {
  await using scenario = await ClusterScenario.open(server());
  scenario.write(1);
  await scenario.startAll();
  await scenario.until('copying', ({ tables }) => tables.some(({ partitions }) => partitions.some(({ phase }) => phase === 'reading')));
  for (const name of ['worker 1', 'planner', 'writer 1', 'capture 1']) await scenario.killAndStart(name);
  await scenario.freeze('worker 2', FROZEN_MS);
  await scenario.live();
  for (const name of Object.keys(PROCESSES)) await scenario.killAndStart(name);
  for (const name of ['capture 1', 'capture 2', 'writer 1', 'planner']) await scenario.freeze(name, FROZEN_MS);
  await expectEqual(scenario);
});

test('every engine of a cluster is killed and started again while it copies and while it follows', async () => {
  await using scenario = await ClusterScenario.open(server());
  const { kafka, redis, registry } = scenario.engines;
  scenario.write(2);
  await scenario.startAll();
  await scenario.until('copying', ({ tables }) => tables.some(({ partitions }) => partitions.some(({ phase }) => phase === 'reading')));
  for (const engine of [redis, kafka]) {
    await engine.kill();
    await engine.start();
  }
  await scenario.live();
  for (const engine of [kafka, redis, registry]) {
    await engine.kill();
    await pause(2000);
    await engine.start();
  }
  redis.pause();
  await pause(FROZEN_MS);
  redis.resume();
  kafka.pause();
  await pause(FROZEN_MS);
  kafka.resume();
  await expectEqual(scenario);
});
