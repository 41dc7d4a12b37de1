import { stateKeys } from '@nanosync/core';
import { at, changeOf, ORDERS, order, without } from '@nanosync/testkit';
import { describe, expect, it } from 'vitest';
import { L0, later, TABLE, tableFixture } from './testing/table-fixture.ts';

describe('a table’s writer', () => {
  it('builds and applies nothing before every partition is complete at the sink', async () => {
    const { stage, control, change, write, until, seen, sink, put } = await tableFixture();
    await put(stateKeys.table('p', ORDERS.table), { ...TABLE, partitions: 2 });
    await control('generation', 'e1', L0);
    await change(changeOf(ORDERS, 'u', order(1, 'new'), later(1)));
    await stage('e1', 0, [order(1, 'old'), order(2)]);
    const writer = write();
    await until(() => writer.outcome() !== undefined || seen() !== undefined);
    expect(writer.outcome()).toBeUndefined();
    expect(await sink.generation({ pipeline: 'p', table: ORDERS.table, epoch: 'e1' })).toBeUndefined();
    await stage('e1', 1, [order(3)]);
    await until(() => seen()?.[0]?.[1] === 'new');
    expect(seen()).toEqual([order(1, 'new'), order(2), order(3)]);
    await writer.end();
  });

  it('takes a table without ranges for one that is not planned yet, and not for an empty one', async () => {
    const { stage, control, write, until, seen, put, clock } = await tableFixture();
    await put(stateKeys.table('p', ORDERS.table), { ...TABLE, partitions: 0 });
    await control('generation', 'e1', L0);
    const writer = write();
    await clock.advance(5000);
    expect(seen()).toBeUndefined();
    await put(stateKeys.table('p', ORDERS.table), TABLE);
    await stage('e1', 0, [order(1)]);
    await until(() => seen() !== undefined);
    expect(seen()).toEqual([order(1)]);
    await writer.end();
  });

  it('builds a table whose copy was stopped of what was read, once it is settled what is missing, and says that', async () => {
    const { stage, control, change, write, until, seen, put, clock, report } = await tableFixture();
    const stopped = { ...TABLE, partitions: 3, missing: [[1, 2]] };
    await put(stateKeys.table('p', ORDERS.table), stopped);
    await control('generation', 'e1', L0);
    await change(changeOf(ORDERS, 'u', order(3, 'changed'), later(1)));
    await stage('e1', 0, [order(1)]);
    await stage('e1', 2, [order(3, 'left out'), order(4)]); // It was under way when it was stopped.
    const writer = write();
    await clock.advance(5000);
    expect(seen()).toBeUndefined();
    await put(stateKeys.table('p', ORDERS.table), { ...stopped, l1Requested: true });
    await until(() => seen()?.length === 2);
    expect(seen()).toEqual([order(1), order(3, 'changed')]);
    expect(await report()).toMatchObject({ built: true, partitionsDurable: 1, without: [[1, 2]] });
    await writer.end();
    await put(stateKeys.sinkReport('p', ORDERS.table), { ...(await report()), without: undefined });
    const next = write(); // It asks the sink.
    await until(async () => (await report())?.without !== undefined);
    expect(await report()).toMatchObject({ without: [[1, 2]] });
    await next.end();
  });

  it('does not wait for ever for an epoch that was given up at the sink, where the store has lost that and nothing was read', async () => {
    const { control, write, until, put, sink } = await tableFixture();
    await sink.discard({ pipeline: 'p', table: ORDERS.table, epoch: 'e1' });
    await put(stateKeys.table('p', ORDERS.table), { ...TABLE, partitions: 2, missing: [[0, 1]], l1Requested: true });
    await control('generation', 'e1', L0);
    const writer = write();
    await until(() => writer.outcome() !== undefined);
    expect(writer.outcome()).toMatchObject({ error: { kind: 'gap', hint: 'Run: nanosync pipeline resnapshot p' } });
    await writer.end();
  });

  it('begins without a row where nothing was copied, and follows', async () => {
    const { control, change, write, until, seen, put, report } = await tableFixture();
    await put(stateKeys.table('p', ORDERS.table), { ...TABLE, partitions: 0, missing: [], l1Requested: true });
    await control('generation', 'e1', L0);
    await change(changeOf(ORDERS, 'u', order(3, 'changed'), later(1)));
    const writer = write();
    await until(() => seen()?.length === 1);
    expect(seen()).toEqual([order(3, 'changed')]);
    expect(await report()).toMatchObject({ built: true, without: [] });
    await writer.end();
  });

  it('leaves an epoch of another anchor to the writer of that anchor', async () => {
    const { stage, control, write, until, seen, put } = await tableFixture();
    await put(stateKeys.table('p', ORDERS.table), { ...TABLE, anchor: 'b', epoch: 'e2' });
    await control('generation', 'e2', at(200, 0), 'b');
    await stage('e2', 0, [order(1)]);
    const writer = write();
    await until(() => writer.outcome() !== undefined || seen() !== undefined);
    expect(writer.outcome()).toBeUndefined();
    expect(seen()).toBeUndefined();
    await writer.end();
  });

  it('begins right after its own generation event: what comes before is for another epoch', async () => {
    const { stage, control, change, write, until, seen } = await tableFixture();
    await control('generation', 'e0', at(90, 0));
    await change(changeOf(ORDERS, 'u', order(1, 'of e0'), at(95)));
    await control('generation', 'e1', L0);
    await change(changeOf(ORDERS, 'u', order(2, 'of e1'), later(1)));
    await stage('e1', 0, [order(1, 'copy'), order(2, 'copy')]);
    const writer = write();
    await until(() => seen()?.[1]?.[1] === 'of e1');
    expect(seen()).toEqual([order(1, 'copy'), order(2, 'of e1')]);
    await writer.end();
  });

  it('ends without a word when it is stopped while it waits for its generation event', async () => {
    const { stage, write, clock, seen } = await tableFixture();
    await stage('e1', 0, [order(1)]);
    const writer = write();
    await clock.advance(1000);
    await writer.end();
    expect(writer.outcome()).toEqual({});
    expect(seen()).toBeUndefined();
  });

  it('does not wait for the generation event of an epoch that was given up: it may never come', async () => {
    const { stage, control, write, until, seen, put, clock } = await tableFixture();
    await stage('e1', 0, [order(1, 'given up')]);
    const writer = write();
    await clock.advance(1000);
    await put(stateKeys.table('p', ORDERS.table), { ...TABLE, epoch: 'e2', l0: null });
    await control('generation', 'e2', at(200, 0));
    await stage('e2', 0, [order(1, 'wanted')]);
    await until(() => seen() !== undefined);
    expect(seen()).toEqual([order(1, 'wanted')]);
    await writer.end();
  });

  it('does not build an epoch that was given up while it waited', async () => {
    const { stage, control, write, until, seen, put, clock } = await tableFixture();
    await control('generation', 'e1', L0);
    const writer = write();
    await clock.advance(1000);
    await put(stateKeys.table('p', ORDERS.table), { ...TABLE, epoch: 'e2', l0: null });
    await stage('e1', 0, [order(1, 'given up')]);
    await control('generation', 'e2', at(200, 0));
    await clock.advance(1000);
    await stage('e2', 0, [order(1, 'wanted')]);
    await until(() => seen() !== undefined);
    expect(seen()).toEqual([order(1, 'wanted')]);
    await writer.end();
  });

  it('shows users a later generation only once it has passed its consistency position', async () => {
    const { stage, control, change, consistent, write, until, seen, put, clock } = await tableFixture();
    await control('generation', 'e1', L0);
    await stage('e1', 0, [order(1), order(9, 'of e1 alone')]);
    const writer = write();
    await until(() => seen() !== undefined);
    await put(stateKeys.table('p', ORDERS.table), { ...TABLE, epoch: 'e2', l0: null });
    await control('generation', 'e2', at(200, 0));
    await consistent('e1', at(150)); // Capture has not stored yet that it met the later one.
    await stage('e2', 0, [order(1), order(2)]);
    await change(changeOf(ORDERS, 'u', order(1, 'below L1'), at(201)));
    await clock.advance(10_000);
    expect(seen()).toContainEqual(order(9, 'of e1 alone'));
    await consistent('e2', at(203));
    await change(changeOf(ORDERS, 'u', order(1, 'just below L1'), at(202)));
    await clock.advance(10_000);
    expect(seen()).toContainEqual(order(9, 'of e1 alone'));
    await control('consistency', 'e2', at(203));
    await until(() => seen()?.[1]?.[0] === 2n);
    expect(seen()).toEqual([order(1, 'just below L1'), order(2)]);
    await writer.end();
  });

  it('publishes what the sink could not apply, also when the bus is away just then, and counts it', async () => {
    const { stage, control, change, write, until, seen, report, quarantined, refuseProducers } = await tableFixture();
    refuseProducers(2);
    await control('generation', 'e1', L0);
    await stage('e1', 0, [order(1)]);
    await change(changeOf(ORDERS, 'u', without(ORDERS, order(7), 'body'), later(1)));
    await change(changeOf(ORDERS, 'u', order(1, 'new'), later(2)));
    const writer = write();
    await until(async () => (await report())?.changesApplied === 1);
    expect(seen()).toEqual([order(1, 'new')]);
    expect(await report()).toMatchObject({ quarantined: 1, changesApplied: 1, defects: 0 });
    expect(await quarantined()).toBe(1);
    await writer.end();
  });

  it('ends where the table is no longer as it was copied, says so, and does not move past it', async () => {
    const { stage, control, change, write, until, seen } = await tableFixture();
    await control('generation', 'e1', L0);
    await stage('e1', 0, [order(1)]);
    await change(changeOf(ORDERS, 'u', order(1, 'new'), later(1)));
    await control('schema', 'e1', later(2), 'a', 'A column was added.');
    await change(changeOf(ORDERS, 'u', order(1, 'behind it'), later(3)));
    for (let life = 0; life < 2; life++) {
      const writer = write();
      await until(() => writer.outcome() !== undefined);
      const failure = { kind: 'table-changed', message: 'A column was added.', hint: 'Run: nanosync pipeline resnapshot p' };
      expect(writer.outcome()).toMatchObject({ error: failure });
      expect(seen()).toEqual([order(1, 'new')]);
    }
  });

  it('does not wait for a generation event that the bus has lost', async () => {
    const { stage, control, write, until, bus, topic } = await tableFixture();
    await control('generation', 'e1', L0);
    await bus.trim(topic, 0, 1);
    await stage('e1', 0, [order(1)]);
    const writer = write();
    await until(() => writer.outcome() !== undefined);
    expect(writer.outcome()).toMatchObject({ error: { kind: 'gap' } });
  });

  it.each([
    ['was created anew', { partitions: 1 }],
    ['was created with more partitions', { partitions: 2 }],
    ['is gone', { partitions: 0 }],
    ['no longer has the last applied message', { trimmed: 3 }],
    ['ends before what was applied', { applied: 9 }],
  ])('does not go on in a topic that %s', async (_, {
    partitions,
    trimmed,
    applied,
  }: { partitions?: number; trimmed?: number; applied?: number }) => {
    const { stage, control, change, write, until, seen, sink, bus, topic } = await tableFixture();
    await control('generation', 'e1', L0);
    await stage('e1', 0, [order(1)]);
    await change(changeOf(ORDERS, 'u', order(1, 'new'), later(1)));
    const first = write();
    await until(() => seen()?.[0]?.[1] === 'new');
    await first.end();
    if (partitions !== undefined) await bus.deleteTopic(topic);
    if (partitions !== undefined && partitions > 0) {
      await bus.ensureTopic(topic, partitions);
      await control('generation', 'e1', L0);
    }
    if (partitions !== 0) for (const commit of [2, 3]) await change(changeOf(ORDERS, 'u', order(1, `at ${commit}`), later(commit)));
    if (trimmed !== undefined) await bus.trim(topic, 0, trimmed);
    if (applied !== undefined) {
      const generation = { pipeline: 'p', table: ORDERS.table, epoch: 'e1' };
      await sink.claim(generation, 'w');
      const move = { busPartition: 0, from: 2, to: applied, session: 1, last: later(9), floor: null };
      await sink.apply({ generation, owner: 'w', schema: ORDERS, moves: [move], changes: [] });
    }
    const second = write();
    await until(() => second.outcome() !== undefined || seen()?.[0]?.[1] !== 'new');
    expect(second.outcome()).toMatchObject({ error: { kind: 'gap', hint: 'Run: nanosync pipeline resnapshot p' } });
    expect(seen()).toEqual([order(1, 'new')]);
  });
});
