import type { PartitionRecord } from '@nanosync/core';
import { RECORD_VERSION, stateKeys } from '@nanosync/core';
import { ORDERS, order } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { runRowLoader } from './row-loader.ts';
import { PIPELINE, tableFixture } from './testing/table-fixture.ts';

const READ: PartitionRecord = {
  ...{ v: RECORD_VERSION, partition: 0, range: 'all', phase: 'read', emitted: true, attempt: 'x', attempts: 1, reader: null },
  ...{ rows: 1, bytes: 1, voided: null },
};

test.each([
  ['are a gap when neither sink nor bus has them', false],
  ['are no gap when the sink has them', true],
])('row batches of a range that was read %s', async (_, staged) => {
  const { ctx, clock, put, sink, stage } = await tableFixture();
  await put(stateKeys.partition('p', ORDERS.table, 'e1', 0), READ);
  if (staged) await stage('e1', 0, [order(1)]);
  const ending = new AbortController();
  let outcome: unknown;
  const loading = runRowLoader(ctx(ending.signal), PIPELINE, sink, () => true).catch((error: unknown) => {
    outcome = error;
  });
  await clock.advance(30_000);
  ending.abort();
  await clock.advance(10_000);
  await loading;
  if (staged) expect(outcome).toBeUndefined();
  else expect(outcome).toMatchObject({ kind: 'gap', hint: 'Run: nanosync pipeline resnapshot p' });
});
