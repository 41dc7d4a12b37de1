import { expect, test } from 'vitest';
import { nanosync } from './command.ts';
import { OF_AN_ADDITION } from './failpoints.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { askForResnapshot } from './repair.ts';
import { Scenario } from './scenario.ts';
import { TABLES } from './shop.ts';
import { storePipelinesIn } from './stored.ts';

const server = sharedServer({ settings: { max_prepared_transactions: '5' } });

const FIRST = ['public.orders', 'public.docs'];

/** A pipeline of some of the tables, live, while all of them are written to. */
async function live(seed: number): Promise<Scenario> {
  const scenario = await Scenario.open(server(), FIRST);
  scenario.write(seed);
  scenario.start();
  await scenario.live();
  return scenario;
}

/** Applies the file with all tables while the pipeline runs. */
function apply(scenario: Scenario): void {
  scenario.define(TABLES);
  const { status, output } = nanosync(scenario, 'apply', '-f', scenario.workplace.pipelinesFile);
  expect(output).toContain('shop: updated');
  expect(output).toContain('table public.lines is added: it will be copied and then followed');
  expect({ status, output }).toMatchObject({ status: 0 });
}

test('tables come to a live pipeline while everything is written to and transactions are open; the others go on meanwhile', async () => {
  await using scenario = await live(1);
  await scenario.sql("BEGIN; UPDATE lines SET quantity = 50 WHERE code = 'c1'; PREPARE TRANSACTION 'open'");
  const before = await scenario.look();
  apply(scenario);
  const waiting = await scenario.until('waiting for the transaction', ({ pipeline }) => pipeline.waiting !== null);
  expect(waiting.pipeline.waiting).toMatch(/^Adding public.lines, public.scratch waits for .*ROLLBACK PREPARED 'open';/);
  expect(waiting.pipeline.phase).toBe('streaming');
  const watermark = before?.tables[0]?.sink?.changesApplied ?? 0;
  await scenario.until('the others go on', ({ tables }) => (tables[0]?.sink?.changesApplied ?? 0) > watermark + 20);
  await scenario.sql("COMMIT PREPARED 'open'");
  await scenario.until('copying', ({ pipeline }) => pipeline.phase === 'snapshotting');
  await scenario.kill();
  scenario.start();
  await scenario.live();
  const epochs = (await expectEqual(scenario)).tables.map(({ record }) => [record.table, record.epoch]);
  for (const { record } of before?.tables ?? []) expect(epochs).toContainEqual([record.table, record.epoch]);
});

/** Where the process is killed, one after the other; each is reached for the tables that come, since the others are live. */
const STEPS = [
  ...OF_AN_ADDITION,
  ...(['plan-stored', 'task-emitted', 'partition-read-stored', 'rows-staged', 'generation-built'] as const),
  'published-stored:12',
];

test('tables come with a start that is killed at each step of their way', async () => {
  await using scenario = await live(2);
  await scenario.stop();
  scenario.define(TABLES);
  for (const failpoint of STEPS) {
    scenario.start(failpoint);
    await scenario.killedItself();
  }
  scenario.start();
  await scenario.live();
  await expectEqual(scenario);
});

test('a table that cannot be copied keeps nobody waiting, not even a resnapshot; status says what it lacks, and it comes once it is cured', async () => {
  await using scenario = await live(4);
  await scenario.sql('ALTER TABLE scratch DROP CONSTRAINT scratch_pkey');
  scenario.define(TABLES);
  const refused = nanosync(scenario, 'apply', '-f', scenario.workplace.pipelinesFile);
  expect(refused).toMatchObject({ status: 2, output: expect.stringContaining('public.scratch') });
  await scenario.sql('ALTER TABLE scratch ADD PRIMARY KEY (id)');
  // Fit when the command looks at it, and not any more when the planner does.
  await scenario.stop();
  scenario.define(TABLES);
  await storePipelinesIn(scenario.workplace.dataDir, scenario.workplace.pipelinesFile);
  await scenario.sql('ALTER TABLE scratch DROP CONSTRAINT scratch_pkey');
  scenario.start();
  await askForResnapshot(scenario);
  await scenario.until('the others are live', ({ pipeline, tables }) => {
    const isAsked = pipeline.intent.copyAnew.length > 0 || pipeline.phase !== 'streaming';
    return !isAsked && tables.length === 3 && tables.every(({ record }) => record.phase === 'following');
  });
  expect(nanosync(scenario, 'status')).toMatchObject({
    status: 1,
    output: expect.stringContaining('planner tries again: Table public.scratch cannot be added yet'),
  });
  await scenario.sql('ALTER TABLE scratch ADD PRIMARY KEY (id)');
  await scenario.live();
  await expectEqual(scenario);
});
