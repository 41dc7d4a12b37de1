import { expect, test } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { sharedServer } from '../fault/fixture.ts';
import { expectEqual } from '../fault/outcome.ts';
import { expectRepair } from '../fault/repair.ts';
import { PIPELINE, Scenario } from '../fault/scenario.ts';
import { storeCommand } from '../fault/stored.ts';

const server = sharedServer();

const OLD_COLUMNS = ['id', 'status', 'total', 'note', 'placed_at'];

/** A live pipeline whose writers meet a column more than was copied. */
async function withNewColumn(seed: number): Promise<Scenario> {
  const scenario = await Scenario.open(server());
  scenario.write(seed);
  scenario.start();
  await scenario.live();
  await scenario.sql('ALTER TABLE orders ADD COLUMN weight integer DEFAULT 3');
  await scenario.sql('UPDATE orders SET weight = id % 7 WHERE id BETWEEN 1 AND 50');
  return scenario;
}

/** What a user of the sink sees; the process must have ended. */
async function seen(scenario: Scenario): Promise<{ readonly columns: readonly string[]; readonly rows: number }> {
  const sink = await openSink(scenario.workplace.duckdb);
  try {
    const columns = (await sink.connection.runAndReadAll('SELECT * FROM public.orders LIMIT 1')).columnNames();
    const [count] = (await sink.connection.runAndReadAll('SELECT count(*) FROM public.orders')).getRows();
    return { columns, rows: Number(count?.[0]) };
  } finally {
    sink.close();
  }
}

test('a column is added while live: the pipeline fails with its cure, which brings the new column', async () => {
  await using scenario = await withNewColumn(1);
  await expectRepair(scenario, /Table public\.orders .* column weight was added/);
  expect((await seen(scenario)).columns).toEqual([...OLD_COLUMNS, 'weight']);
});

test('what users see stays as it was until the switch, also when the process is killed on the way', async () => {
  await using scenario = await withNewColumn(2);
  await scenario.failed();
  await scenario.stop();
  const before = await seen(scenario);
  expect(before.columns).toEqual(OLD_COLUMNS);
  expect(before.rows).toBeGreaterThan(5000);
  await storeCommand(scenario.workplace.dataDir, PIPELINE, { kind: 'resnapshot', table: null });
  for (const failpoint of ['anchor-stored', 'partition-read-stored:4', 'rows-staged:2']) {
    scenario.start(failpoint);
    await scenario.killedItself();
    expect(await seen(scenario), failpoint).toEqual(before);
  }
  scenario.start();
  await scenario.live();
  await expectEqual(scenario);
  expect((await seen(scenario)).columns).toEqual([...OLD_COLUMNS, 'weight']);
});
