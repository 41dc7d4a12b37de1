import { expect, test } from 'vitest';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();

test.for([
  ['VACUUM FULL', 'VACUUM (FULL) orders'],
  ['CLUSTER', 'CLUSTER orders USING orders_pkey'],
  ['TRUNCATE', 'TRUNCATE orders'],
  ['a change of all values', 'ALTER TABLE orders ALTER total TYPE numeric(12,2) USING total + 1'],
] as const)('%s of a table that is partly read: the plan is void and a new epoch is equal', async ([, statement]) => {
  await using scenario = await Scenario.open(server(), ['public.orders']);
  scenario.write(7);
  scenario.start('partition-read-stored:3');
  await scenario.killedItself();
  const before = (await scenario.look())?.tables[0]?.record;
  expect(before).toMatchObject({ phase: 'snapshotting', voids: 0 });
  await scenario.sql(statement);
  scenario.start();
  await scenario.live();
  const [after] = (await expectEqual(scenario, ['public.orders'])).tables;
  expect(after?.record).toMatchObject({ voids: 1 });
  expect(after?.record.epoch).not.toBe(before?.epoch);
  expect((after?.captured?.l0 ?? '') > (before?.l0 ?? '')).toBe(true);
});

test('rewrites, one after the other, while everything is copied', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(8);
  scenario.start();
  await scenario.until('something is being read', ({ tables }) =>
    tables.some(({ partitions }) => partitions.some(({ phase }) => phase !== 'planned')),
  );
  for (const statement of ['VACUUM (FULL) docs', 'CLUSTER orders USING orders_pkey', 'TRUNCATE scratch', 'VACUUM (FULL) lines'])
    await scenario.sql(statement);
  await scenario.live();
  await expectEqual(scenario);
});

test('a table that is rewritten again and again is read as one range, which no rewrite voids', async () => {
  await using scenario = await Scenario.open(server(), ['public.orders']);
  scenario.write(9);
  for (const voids of [0, 1]) {
    scenario.start('partition-read-stored:1');
    await scenario.until('the next plan', ({ tables }) => tables[0]?.record.voids === voids && tables[0].record.phase === 'snapshotting');
    await scenario.killedItself();
    await scenario.sql('VACUUM (FULL) orders');
  }
  for (const failpoint of ['plan-stored', 'partition-taken']) {
    scenario.start(failpoint);
    await scenario.killedItself();
  }
  const third = (await scenario.look())?.tables[0];
  expect(third?.record).toMatchObject({ voids: 2, partitions: 1 });
  await scenario.sql('VACUUM (FULL) orders');
  scenario.start();
  await scenario.live();
  const [after] = (await expectEqual(scenario, ['public.orders'])).tables;
  expect(after?.record).toMatchObject({ voids: 2, partitions: 1, epoch: third?.record.epoch });
});
