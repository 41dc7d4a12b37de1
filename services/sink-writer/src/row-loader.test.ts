import type { PartitionRecord } from '@nanosync/core';
import { RECORD_VERSION, ROWS_BUS_PARTITIONS, stateKeys } from '@nanosync/core';
import { ORDERS, order } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { runRowLoader } from './row-loader.ts';
import { PIPELINE, tableFixture } from './testing/table-fixture.ts';

const READ: PartitionRecord = {
  ...{ v: RECORD_VERSION, partition: 0, range: 'all', phase: 'read', emitted: true, attempt: 'x', attempts: 1, reader: null },
  ...{ rows: 1, bytes: 1, voided: null },
};

test.each<[string, boolean, boolean]>([
  ['are a gap when neither sink nor bus has them', false, false],
  ['are no gap when the sink has them', true, false],
  ['are no gap when the sink has let go of them with their table', false, true],
])('row batches of a range that was read %s', async (_, staged, isLeaving) => {
  const { ctx, clock, put, sink, stage } = await tableFixture();
  if (isLeaving) await put(stateKeys.pipeline('p'), { ...PIPELINE, recorded: [], leaving: [ORDERS.table] });
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
  if (staged || isLeaving) expect(outcome).toBeUndefined();
  else expect(outcome).toMatchObject({ kind: 'gap', hint: 'Run: nanosync pipeline resnapshot p' });
});

test('row batches are staged in the order of the bus, and the ledger is told what is durable', async () => {
  const { ctx, bus, topics, clock, put, sink, publishRows, stored } = await tableFixture();
  const key = stateKeys.partition('p', ORDERS.table, 'e1', 0);
  const epoch = { pipeline: 'p', table: ORDERS.table, epoch: 'e1' };
  await put(key, READ);
  await publishRows(0, [order(1), order(2)]);
  const ending = new AbortController();
  let outcome: unknown;
  const loading = runRowLoader(ctx(ending.signal), PIPELINE, sink, () => true).catch((error: unknown) => {
    outcome = error;
  });
  await clock.advance(2000);
  expect(await sink.staged(epoch)).toEqual([{ partition: 0, attempt: 'x', rows: 2, quarantined: 0 }]);
  expect((await stored<PartitionRecord>(key))?.phase).toBe('durable');
  await publishRows(1, [order(3)]);
  await clock.advance(2000);
  expect((await sink.staged(epoch)).map(({ partition }) => partition)).toEqual([0, 1]);
  // Whoever loads now stages from where this one was; this one stages no more.
  const stream = `${(await bus.topic(topics.rows('p')))?.id} a`;
  const claimed = await sink.claimRows('p', 'next', stream, ROWS_BUS_PARTITIONS);
  expect(claimed[0]).toBe(4);
  await publishRows(2, [order(4)]);
  await clock.advance(2000);
  ending.abort();
  await clock.advance(10_000);
  await loading;
  expect(outcome).toMatchObject({ kind: 'conflict' });
  expect((await sink.staged(epoch)).map(({ partition }) => partition)).toEqual([0, 1]);
});

test('what arrives while it is looked for is no gap', async () => {
  const { ctx, clock, put, sink, publishRows } = await tableFixture();
  let published = false;
  const lookedAt = new Proxy(sink, {
    get: (target, name) => {
      if (name !== 'generation' || published) return Reflect.get(target, name, target) as unknown;
      return async () => {
        published = true;
        await publishRows(0, [order(1)]);
        await put(stateKeys.partition('p', ORDERS.table, 'e1', 0), READ);
        return undefined;
      };
    },
  });
  const ending = new AbortController();
  let outcome: unknown = 'loading';
  const loading = runRowLoader(ctx(ending.signal), PIPELINE, lookedAt, () => true).catch((error: unknown) => {
    outcome = error;
  });
  await clock.advance(30_000);
  expect(published).toBe(true);
  expect(outcome).toBe('loading');
  expect(await sink.staged({ pipeline: 'p', table: ORDERS.table, epoch: 'e1' })).toHaveLength(1);
  ending.abort();
  await clock.advance(10_000);
  await loading;
});
