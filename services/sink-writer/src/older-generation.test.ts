import { stateKeys } from '@nanosync/core';
import { at, changeOf, ORDERS, order } from '@nanosync/testkit';
import { describe, expect, it } from 'vitest';
import { L0, later, PIPELINE, TABLE, tableFixture } from './testing/table-fixture.ts';

const PLANNED = { ...TABLE, epoch: 'e2', l0: null, older: { epoch: 'e1', schema: ORDERS, storage: 's', quarantinedBefore: 0 } };
/** The place of the copy's generation event, and a place behind it. */
const AGAIN = at(200, 0);
const behind = (commit: number) => at(200 + commit);

/** A live table, then asked to be copied anew: the new epoch's generation event is on the bus, and nothing of its rows. */
async function copying({ keepMs = 3_600_000, isChanged = false } = {}) {
  const fixture = await tableFixture();
  const { control, stage, write: begin, until, seen, put } = fixture;
  const write = () => begin({ keepMs });
  await control('generation', 'e1', L0);
  await stage('e1', 0, [order(1, 'of e1'), order(9, 'deleted meanwhile')]);
  const first = write();
  await until(() => seen() !== undefined);
  if (isChanged) await first.end();
  await put(stateKeys.table('p', ORDERS.table), PLANNED);
  if (isChanged) await control('schema', 'e1', later(2), 'a', 'A column was added.');
  await control('generation', 'e2', AGAIN);
  const writer = isChanged ? write() : first;
  const finish = async (rows = [order(1, 'of e1')]) => {
    await stage('e2', 0, rows);
    await fixture.consistent('e2', behind(50));
    await control('consistency', 'e2', behind(50));
  };
  return { ...fixture, writer, finish, again: write };
}

it('of a pipeline that only copies gets nothing and needs no topic; another copy takes its place', async () => {
  const { stage, write, until, seen, put, bus, topic } = await tableFixture();
  await bus.deleteTopic(topic);
  const writer = write({}, { ...PIPELINE, definition: { ...PIPELINE.definition, replicationType: 'snapshot' } });
  await stage('e1', 0, [order(1, 'of e1')]);
  await until(() => seen() !== undefined);
  await put(stateKeys.table('p', ORDERS.table), { ...TABLE, epoch: 'e2' });
  await stage('e2', 0, [order(2, 'of e2')]);
  await until(() => seen()?.[0]?.[1] === 'of e2' || writer.outcome() !== undefined);
  expect(writer.outcome()).toBeUndefined();
  expect(seen()).toEqual([order(2, 'of e2')]);
  await writer.end();
});

describe('a table that is copied anew beside its stream', () => {
  it('goes on receiving changes until the copy has all of them, and then users see that: rows that are gone disappear', async () => {
    const { change, until, seen, report, writer, finish, sink } = await copying();
    await change(changeOf(ORDERS, 'u', order(1, 'meanwhile'), behind(1)));
    await until(async () => (await report())?.older?.changesApplied === 1);
    expect(seen()).toEqual([order(1, 'meanwhile'), order(9, 'deleted meanwhile')]);
    expect(await report()).toMatchObject({
      epoch: 'e2',
      built: false,
      current: false,
      older: { epoch: 'e1', watermark: behind(1), failure: null },
    });
    await change(changeOf(ORDERS, 'c', order(2), behind(2)));
    await finish([order(1, 'copied')]);
    await until(async () => (await report())?.current === true);
    expect(seen()).toEqual([order(1, 'meanwhile'), order(2)]);
    expect(await sink.generations('p', ORDERS.table)).toEqual([{ epoch: 'e2', anchor: 'a', current: true }]);
    await change(changeOf(ORDERS, 'u', order(2, 'later'), behind(60)));
    await until(() => seen()?.[1]?.[1] === 'later');
    await until(async () => (await report())?.older === null);
    expect(writer.outcome()).toBeUndefined();
    await writer.end();
  });

  it('is fed by the next writer too, which goes on where each of the two generations is', async () => {
    const { change, until, seen, report, writer, finish, again } = await copying();
    await change(changeOf(ORDERS, 'u', order(1, 'first'), behind(1)));
    await until(() => seen()?.[0]?.[1] === 'first');
    await writer.end();
    await change(changeOf(ORDERS, 'u', order(1, 'second'), behind(2)));
    const second = again();
    await until(() => seen()?.[0]?.[1] === 'second');
    expect(seen()).toHaveLength(2);
    await second.end();
    await finish();
    const third = again();
    await until(async () => (await report())?.current === true);
    expect(seen()).toEqual([order(1, 'second')]);
    await third.end();
  });

  it('goes on while a plan of the copy is given up for another one', async () => {
    const { change, control, stage, consistent, until, seen, report, put, writer } = await copying();
    await stage('e2', 0, [order(1, 'given up')]);
    await put(stateKeys.table('p', ORDERS.table), { ...PLANNED, epoch: 'e3' });
    await control('generation', 'e3', behind(10));
    await change(changeOf(ORDERS, 'u', order(1, 'meanwhile'), behind(11)));
    await until(() => seen()?.[0]?.[1] === 'meanwhile');
    expect(seen()).toHaveLength(2);
    await stage('e3', 0, [order(1, 'copied')]);
    await consistent('e3', behind(20));
    await control('consistency', 'e3', behind(20));
    await until(async () => (await report())?.current === true);
    expect(seen()).toEqual([order(1, 'meanwhile')]);
    await writer.end();
  });

  it('stays as it is where changes no longer fit it, and says why; the copy takes its place', async () => {
    const { until, seen, report, writer, finish } = await copying({ isChanged: true });
    await until(async () => (await report())?.older?.failure != null);
    expect(await report()).toMatchObject({ failure: null, older: { failure: { reason: 'A column was added.' } } });
    expect(seen()).toEqual([order(1, 'of e1'), order(9, 'deleted meanwhile')]);
    expect(writer.outcome()).toBeUndefined();
    await finish([order(1, 'copied')]);
    await until(async () => (await report())?.current === true);
    expect(seen()).toEqual([order(1, 'copied')]);
    await writer.end();
  });

  it('keeps on the bus all that the copy will need, however long it takes', async () => {
    const { change, bus, topic, clock, until, seen, writer } = await copying({ keepMs: 0 });
    for (let commit = 1; commit < 5; commit++) await change(changeOf(ORDERS, 'u', order(1, `at ${commit}`), behind(commit)));
    await until(() => seen()?.[0]?.[1] === 'at 4');
    await clock.advance(150_000);
    expect((await bus.topic(topic))?.partitions[0]?.start).toBeLessThanOrEqual(1);
    await writer.end();
  });

  it('keeps on the bus what the slower of two generations has still to read', async () => {
    const { change, stage, clock, report, until, writer, again } = await copying({ keepMs: 0, isChanged: true });
    await stage('e2', 0, [order(1, 'copied')]);
    for (let commit = 1; commit < 5; commit++) await change(changeOf(ORDERS, 'u', order(1, `at ${commit}`), behind(commit)));
    await until(async () => (await report())?.changesApplied === 4);
    await clock.advance(150_000);
    await writer.end();
    const next = again();
    await clock.advance(5000);
    expect(next.outcome()).toBeUndefined();
    await next.end();
  });
});
