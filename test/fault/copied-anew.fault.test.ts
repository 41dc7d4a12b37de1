import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { nanosync } from './command.ts';
import type { Facts, TableFacts } from './facts.ts';
import { isLive } from './facts.ts';
import { OF_A_COPY } from './failpoints.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { PIPELINE, Scenario } from './scenario.ts';
import { storeCommand } from './stored.ts';

const server = sharedServer({ settings: { max_prepared_transactions: '5' } });

/** A live pipeline that is written to. */
async function live(seed: number): Promise<Scenario> {
  const scenario = await Scenario.open(server());
  scenario.write(seed);
  scenario.start();
  await scenario.live();
  return scenario;
}

function of(facts: Facts | undefined, table: string): TableFacts | undefined {
  return facts?.tables.find(({ record }) => record.table === table);
}

const shownChanges = (facts: Facts | undefined) => of(facts, 'public.orders')?.sink?.older?.changesApplied ?? 0;

test('a table is copied anew while everything is written to: what users see gets its changes all the time, and the others never stop', async () => {
  await using scenario = await live(1);
  await scenario.sql("BEGIN; UPDATE lines SET quantity = 50 WHERE code = 'c1'; PREPARE TRANSACTION 'open'");
  const before = await scenario.look();
  const asked = nanosync(scenario, 'pipeline', 'resnapshot', PIPELINE, '--table', 'orders');
  expect(asked).toMatchObject({
    status: 0,
    output: expect.stringContaining('asked to copy public.orders anew beside the running stream'),
  });
  // The copy is held up; its generation event is on the bus, and so are changes behind it.
  const held = await scenario.until('held', (facts) => facts.pipeline.waiting !== null && shownChanges(facts) > 0);
  const isHeld = (facts: Facts) => of(facts, 'public.orders')?.record.phase === 'planned';
  const lines = of(held, 'public.lines')?.sink?.changesApplied ?? 0;
  await scenario.until('changes meanwhile', (facts) => isHeld(facts) && shownChanges(facts) > shownChanges(held) + 50);
  await scenario.until('the others go on', (facts) => isHeld(facts) && (of(facts, 'public.lines')?.sink?.changesApplied ?? 0) > lines);
  expect(nanosync(scenario, 'status').output).toMatch(/public\.orders +live .*\n.* changes applied.*\n +copying anew: planned/);
  await scenario.kill();
  scenario.start();
  const [seen] = [shownChanges(await scenario.look())];
  await scenario.until('changes in the next life', (facts) => isHeld(facts) && shownChanges(facts) > seen + 50);
  await scenario.sql("COMMIT PREPARED 'open'");
  await scenario.until('copying', (facts) => of(facts, 'public.orders')?.record.phase === 'snapshotting');
  await scenario.kill();
  scenario.start();
  await scenario.live();
  const after = await expectEqual(scenario);
  for (const { record } of before?.tables ?? []) {
    const isSame = of(after, record.table)?.record.epoch === record.epoch;
    expect({ table: record.table, isSame }).toEqual({ table: record.table, isSame: record.table !== 'public.orders' });
  }
  expect(after.pipeline.anchor?.id).toBe(before?.pipeline.anchor?.id);
});

test('other columns are kept back while live: the copy has them so, and takes its place without a word from anybody', async () => {
  await using scenario = await live(3);
  const before = await scenario.look();
  const { pipelinesFile } = scenario.workplace;
  const rules = '$&\n      columns: { public.orders: { exclude: [note] } }';
  writeFileSync(pipelinesFile, readFileSync(pipelinesFile, 'utf8').replace(/^ +tables: .*$/m, rules));
  expect(nanosync(scenario, 'apply', '-f', pipelinesFile)).toMatchObject({ status: 0 });
  const isNew = (facts: Facts) => of(facts, 'public.orders')?.record.epoch !== of(before, 'public.orders')?.record.epoch;
  await scenario.until('copied anew', (facts) => isNew(facts) && isLive(facts));
  await scenario.kill();
  scenario.start();
  await scenario.live();
  const [source] = await expectEqual(scenario, ['public.docs', 'public.lines', 'public.scratch']).then(() =>
    scenario.sql<{ rows: string; total: string }>('SELECT count(*)::text AS rows, sum(total)::text AS total FROM orders'),
  );
  const sink = await openSink(scenario.workplace.duckdb);
  try {
    const shown = await sink.connection.runAndReadAll('SELECT count(*)::VARCHAR AS rows, sum(total)::VARCHAR AS total FROM public.orders');
    expect(shown.getRowObjects()).toEqual([source]);
    const all = await sink.connection.runAndReadAll('SELECT * FROM public.orders LIMIT 1');
    expect(all.columnNames()).toEqual(['id', 'status', 'total', 'placed_at']);
  } finally {
    sink.close();
  }
});

/** Where the process is killed, one after the other; each is reached, since one table is at another step than the next. */
const STEPS = [
  'copy-begun',
  'copy-begun:2',
  ...(['plan-stored', 'task-emitted:2', 'partition-read-stored:2', 'rows-staged:2', 'changes-applied:5', 'generation-built'] as const),
  ...(['generation-switched', 'generation-switched', 'changes-applied:20'] as const),
];

test('every table is copied anew by a process that is killed at each step of the way', async () => {
  await using scenario = await live(2);
  await scenario.stop();
  await storeCommand(scenario.workplace.dataDir, PIPELINE, { kind: 'resnapshot', table: null });
  for (const failpoint of STEPS) {
    scenario.start(failpoint);
    await scenario.killedItself();
  }
  scenario.start();
  await scenario.live();
  await expectEqual(scenario);
  expect(STEPS).toEqual(expect.arrayContaining([...OF_A_COPY]));
});
