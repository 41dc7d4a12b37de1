import type { PostgresServer } from '@nanosync/testkit';
import { expect } from 'vitest';
import { expectEqual } from './outcome.ts';
import { Scenario } from './scenario.ts';

/** Rewrites a table that is partly read: its plan is void, and a new epoch with an L0 of its own is equal. */
export async function expectNewEpoch(server: PostgresServer, statement: string): Promise<void> {
  await using scenario = await Scenario.open(server, ['public.orders']);
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
}
