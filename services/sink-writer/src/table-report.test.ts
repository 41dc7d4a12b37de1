import type { ServiceContext, SinkReport, TableRecord } from '@nanosync/core';
import { RECORD_VERSION, readRecord, stateKeys, tableIdOf } from '@nanosync/core';
import { FakeClock, memoryStateStore, openMemoryState } from '@nanosync/testkit';
import { beforeEach, expect, it } from 'vitest';
import { reportFailure, TableReport } from './table-report.ts';

const TABLE = tableIdOf('public', 'orders');
const FAILURE = { reason: 'gone', cure: 'Run: nanosync pipeline resnapshot shop' };

let ctx: ServiceContext;
beforeEach(async () => {
  const clock = new FakeClock();
  let ids = 0;
  const state = openMemoryState({ clock, store: memoryStateStore() });
  await state.put(stateKeys.pipeline('shop'), { v: RECORD_VERSION }, 0);
  ctx = { clock, state, ids: { next: () => `writer${++ids}` } } as unknown as ServiceContext;
});

async function stored(): Promise<SinkReport | undefined> {
  return (await readRecord<SinkReport>(ctx.state, stateKeys.sinkReport('shop', TABLE)))?.value;
}

async function recordEpoch(epoch: string): Promise<void> {
  const key = stateKeys.table('shop', TABLE);
  const before = await readRecord<TableRecord>(ctx.state, key);
  await ctx.state.put(key, { v: RECORD_VERSION, table: TABLE, epoch }, before?.version ?? 0);
}

it('is told by the writer that began it last, and by no other', async () => {
  const [first, second] = [new TableReport(ctx, 'shop', TABLE), new TableReport(ctx, 'shop', TABLE)];
  await first.begin('e1');
  await first.set({ changesApplied: 5 }, true);
  await second.begin('e1');
  await second.set({ changesApplied: 9 }, true);
  await expect(first.set({ changesApplied: 6 }, true)).rejects.toMatchObject({ kind: 'conflict' });
  expect(await stored()).toMatchObject({ epoch: 'e1', changesApplied: 9 });
});

it('keeps what others said of its epoch, and nothing that is said late of an earlier one', async () => {
  const report = new TableReport(ctx, 'shop', TABLE);
  await recordEpoch('e1');
  await report.begin('e1');
  await reportFailure(ctx, { pipeline: 'shop', table: TABLE, epoch: 'e1' }, FAILURE);
  await report.set({ changesApplied: 1 }, true);
  expect((await stored())?.failure).toEqual(FAILURE);

  await recordEpoch('e2');
  await report.begin('e2');
  await reportFailure(ctx, { pipeline: 'shop', table: TABLE, epoch: 'e1' }, FAILURE);
  expect(await stored()).toMatchObject({ epoch: 'e2', failure: null });
  await report.set({ changesApplied: 2 }, true);
  expect(await stored()).toMatchObject({ epoch: 'e2', changesApplied: 2, failure: null });
});

it('leaves nothing behind of a pipeline that is deleted', async () => {
  await ctx.state.remove(stateKeys.pipeline('shop'));
  await expect(new TableReport(ctx, 'shop', TABLE).begin('e1')).rejects.toMatchObject({ kind: 'conflict' });
  expect(await stored()).toBeUndefined();
});

it('says of a table that nobody has begun yet why its rows cannot be staged, while the table has that epoch', async () => {
  await recordEpoch('e1');
  await reportFailure(ctx, { pipeline: 'shop', table: TABLE, epoch: 'e1' }, FAILURE);
  expect(await stored()).toMatchObject({ epoch: 'e1', failure: FAILURE });
});
