import { expect, test } from 'vitest';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { expectNewEpoch } from './rewrites.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();

// CLUSTER and a change of all values: `rewrites.long.test.ts`.
test.for([
  ['VACUUM FULL', 'VACUUM (FULL) orders'],
  ['TRUNCATE', 'TRUNCATE orders'],
] as const)('%s of a table that is partly read: the plan is void and a new epoch is equal', ([, statement]) =>
  expectNewEpoch(server(), statement));

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
