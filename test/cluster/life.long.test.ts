import { leaseNames } from '@nanosync/core';
import { expect, test } from 'vitest';
import { queryAll } from '../compare/bigquery-rest.ts';
import type { TableComparison } from '../compare/compare-table.ts';
import { ClusterScenario } from '../fault/cluster-scenario.ts';
import type { Facts } from '../fault/facts.ts';
import { isLive } from '../fault/facts.ts';
import { sharedServer } from '../fault/fixture.ts';
import { PIPELINE } from '../fault/scenario.ts';
import { TABLES } from '../fault/shop.ts';
import { tracesOf } from './traces.ts';
import { watched } from './watched-steps.ts';

const server = sharedServer();
const RUNNING = ['planner', 'worker 1', 'worker 2', 'capture 1', 'writer 1', 'writer 2'];
const WITHOUT_LINES = TABLES.filter((table) => table !== 'public.lines');
const EXCLUDED = { 'public.orders': ['note'] };
/** Transactions a second: what an emulated warehouse keeps up with on a small machine. */
const PER_SECOND = 15;
/** More keys than are made before the writers rest. */
const KEYS = 50_000;
/** Changes that show that something goes on. */
const SOME = 100;

const epochOf = (facts: Facts | undefined, table: string) => facts?.tables.find(({ record }) => record.table === table)?.record.epoch;
const published = (facts: Facts | undefined) => facts?.capture?.eventsPublished ?? 0;
const applied = (facts: Facts | undefined) => facts?.tables.map(({ sink }) => sink?.changesApplied);

/** Waits until a copy has begun that there was not before: a table has another epoch. Whatever of it is done by then, it goes on. */
async function copying(scenario: ClusterScenario, before: Facts | undefined): Promise<void> {
  const known = new Set(before?.tables.map(({ record }) => record.epoch));
  await scenario.until('copying', ({ tables }) => tables.some(({ record }) => !known.has(record.epoch)));
}

/** Waits until these tables are live under other epochs than before. */
async function copiedAnew(scenario: ClusterScenario, before: Facts | undefined, tables: readonly string[]): Promise<void> {
  const isNew = (facts: Facts) => tables.every((table) => epochOf(facts, table) !== epochOf(before, table));
  await scenario.until('copied anew', (facts) => isNew(facts) && isLive(facts));
}

/** Waits until the copy that was asked for is held up by an open transaction, and what users see of each of these tables goes on beside it. */
async function goesOn(scenario: ClusterScenario, tables: readonly string[]): Promise<void> {
  const shown = (facts: Facts, table: string) => {
    const sink = facts.tables.find(({ record }) => record.table === table)?.sink;
    return sink?.older?.changesApplied ?? sink?.changesApplied ?? 0;
  };
  const isSeen = (facts: Facts) => tables.every((table) => shown(facts, table) > 0);
  const before = await scenario.until('held up', (facts) => facts.pipeline.waiting !== null && isSeen(facts));
  await scenario.until('going on', (facts) => tables.every((table) => shown(facts, table) > shown(before, table)));
}

/** Asks for a copy while a transaction is open, and ends that once the tables were seen to go on; then waits until the copy has begun. */
async function beside(scenario: ClusterScenario, tables: readonly string[], ask: () => Promise<unknown>): Promise<void> {
  const before = await scenario.look();
  {
    await using _open = await scenario.openTransaction();
    await ask();
    await goesOn(scenario, tables);
  }
  await copying(scenario, before);
}

async function sinkIsPaused(scenario: ClusterScenario): Promise<void> {
  const state = await scenario.stored();
  const leases = [leaseNames.rows(PIPELINE), ...TABLES.map((table) => leaseNames.table(PIPELINE, table))];
  await expect
    .poll(async () => (await Promise.all(leases.map((lease) => state.isLeased(lease)))).includes(true), { timeout: 60_000 })
    .toBe(false);
}

/** Sink and source are equal, and nothing was set aside. */
function expectNoneLost(facts: Facts, compared: readonly TableComparison[]): void {
  expect(compared.map(({ table, missing, extra, different, findings }) => ({ table, missing, extra, different, findings }))).toEqual(
    compared.map(({ table }) => ({ table, missing: 0, extra: 0, different: 0, findings: [] })),
  );
  expect(compared.reduce((sum, { sourceRows }) => sum + sourceRows, 0)).toBeGreaterThan(5000);
  expect(facts.tables.map(({ record }) => record.table).sort()).toEqual(compared.map(({ table }) => table).sort());
  for (const { sink, captured } of facts.tables)
    expect({ rejected: sink?.quarantined, defects: sink?.defects, lost: captured?.quarantined }).toEqual({
      rejected: 0,
      defects: 0,
      lost: 0,
    });
}

const slots = (scenario: ClusterScenario) =>
  scenario.sql<{ active: boolean; confirmed: string }>(
    'SELECT active, confirmed_flush_lsn::text AS confirmed FROM pg_replication_slots WHERE database = current_database()',
  );

test('the whole life of a pipeline by processes over Kafka and Redis into BigQuery, while everything is written to and services are killed', {
  timeout: 1_800_000,
}, async () => {
  await using scenario = await ClusterScenario.empty(server());
  const step = (name: string, work: () => Promise<unknown>) => watched(scenario, name, work);
  const ask = (...command: readonly string[]) => scenario.command('pipeline', ...command);
  let rests = 0;
  const write = () => scenario.write(++rests, { perSecond: PER_SECOND, keysFrom: rests * KEYS });
  /** Looks while the writers rest: a later step that copies anew would hide what was lost before it. */
  const equal = (tables: readonly string[], excluded = {}) =>
    step('writers rest, all is compared', async () => {
      const facts = await scenario.drain();
      expectNoneLost(facts, await scenario.compare(tables, excluded));
      write();
    });
  write();
  await scenario.startAll(RUNNING);

  scenario.define({ tables: WITHOUT_LINES });
  await step('apply, worker killed while it copies', async () => {
    expect(await scenario.apply()).toContain('shop: created');
    await copying(scenario, undefined);
    await scenario.killAndStart('worker 1');
    await scenario.live();
  });

  await step('sink paused and resumed, writer killed in between', async () => {
    await ask('pause', PIPELINE, '--sink');
    await sinkIsPaused(scenario);
    const before = await scenario.look();
    const [slot] = await slots(scenario);
    await scenario.killAndStart('writer 1');
    const after = await scenario.until('capture goes on', (facts) => published(facts) > published(before) + SOME);
    expect(applied(after)).toEqual(applied(before));
    await expect.poll(async () => (await slots(scenario))[0]?.confirmed, { timeout: 30_000 }).not.toBe(slot?.confirmed);
    await ask('resume', PIPELINE, '--sink');
    await scenario.caughtUp();
  });

  await step('paused and resumed, planner killed in between', async () => {
    await ask('pause', PIPELINE);
    await scenario.until('paused', ({ pipeline }) => pipeline.phase === 'paused');
    await expect.poll(async () => (await slots(scenario))[0]?.active, { timeout: 60_000 }).toBe(false);
    const [before, stood] = [await scenario.look(), await slots(scenario)];
    await scenario.killAndStart('planner');
    expect(published(await scenario.look())).toBe(published(before));
    expect(await slots(scenario)).toEqual(stood);
    await ask('resume', PIPELINE);
    await scenario.caughtUp();
  });

  scenario.define({ tables: TABLES });
  await step('table added, capture killed while it is copied', async () => {
    await beside(scenario, WITHOUT_LINES, async () => expect(await scenario.apply()).toContain('table public.lines is added'));
    await scenario.killAndStart('capture 1');
    await scenario.live();
  });
  await equal(TABLES);

  await step('one table copied anew, worker killed while it copies', async () => {
    const before = await scenario.look();
    await beside(scenario, TABLES, () => ask('resnapshot', PIPELINE, '--table', 'orders'));
    await scenario.killAndStart('worker 2');
    await copiedAnew(scenario, before, ['public.orders']);
    const after = await scenario.look();
    for (const table of WITHOUT_LINES.slice(1)) expect(epochOf(after, table)).toBe(epochOf(before, table));
  });
  await equal(TABLES);

  await step('all tables copied anew, planner and a writer killed', async () => {
    const before = await scenario.look();
    await beside(scenario, TABLES, () => ask('resnapshot', PIPELINE));
    await scenario.killAndStart('planner');
    await scenario.killAndStart('writer 2');
    await copiedAnew(scenario, before, TABLES);
  });
  await equal(TABLES);

  scenario.define({ tables: WITHOUT_LINES });
  const lines = () => queryAll(scenario.dataset, 'SELECT COUNT(*), SUM(line), SUM(quantity) FROM fault.public_lines');
  await step('table taken out', async () => {
    expect(await scenario.apply()).toContain('table public.lines is taken out');
    await scenario.until('taken out', ({ pipeline, tables }) => pipeline.leaving?.length === 0 && tables.length === WITHOUT_LINES.length);
    await scenario.caughtUp();
  });
  const left = await lines();

  scenario.define({ tables: WITHOUT_LINES, excluded: EXCLUDED });
  await step('column kept back', async () => {
    const before = await scenario.look();
    await beside(scenario, WITHOUT_LINES, () => scenario.apply());
    await copiedAnew(scenario, before, ['public.orders']);
  });
  await equal(WITHOUT_LINES, EXCLUDED);
  expect(await lines()).toEqual(left);

  scenario.define({ tables: WITHOUT_LINES, excluded: EXCLUDED, replicationType: 'snapshot' });
  await step('switched to snapshot, worker killed while it copies', async () => {
    const before = await scenario.look();
    await scenario.apply();
    await copying(scenario, before);
    await scenario.killAndStart('worker 1');
    await scenario.until('completed', ({ pipeline }) => pipeline.phase === 'completed' && pipeline.request === null);
    await expect.poll(async () => (await tracesOf(scenario, PIPELINE)).source, { timeout: 60_000 }).toEqual([]);
  });

  scenario.define({ tables: TABLES, excluded: EXCLUDED });
  await step('switched back, with the table that was taken out', async () => {
    const before = await scenario.look();
    await scenario.apply();
    await copying(scenario, before);
    await scenario.killAndStart('capture 1');
    await scenario.live();
  });

  await step('two tables verified while everything is written to', async () => {
    for (const table of ['lines', 'scratch'])
      expect(await scenario.command('verify', PIPELINE, '--table', table)).toMatch(new RegExp(`^public\\.${table}: equal`, 'm'));
  });

  const facts = await scenario.drain();
  expectNoneLost(facts, await scenario.compare(TABLES, EXCLUDED));
  await step('all verified', async () => {
    const said = await scenario.command('verify', PIPELINE);
    for (const table of TABLES) expect(said).toMatch(new RegExp(`^${table}: equal`, 'm'));
  });

  scenario.define({ tables: WITHOUT_LINES, excluded: EXCLUDED });
  await step('deleted with its tables, that which was taken out too', async () => {
    await scenario.apply();
    await scenario.until('taken out', ({ pipeline, tables }) => pipeline.leaving?.length === 0 && tables.length === WITHOUT_LINES.length);
    for (const traces of Object.values(await tracesOf(scenario, PIPELINE))) expect(traces).not.toEqual([]);
    await ask('delete', PIPELINE, '--drop-tables', '--yes');
    await expect.poll(() => scenario.look(), { timeout: 120_000 }).toBeUndefined();
  });
  expect(await tracesOf(scenario, PIPELINE)).toEqual({ source: [], topics: [], keys: [], sink: [] });
  await scenario.fleet.finish();
});
