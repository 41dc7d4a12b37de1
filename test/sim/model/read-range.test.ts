import { expect, test } from 'vitest';
import { collect, fill, idsOf, modelOf, ORDERS, open, planned, row, run } from './test-support.ts';

const ascending = (ids: readonly number[]) => ids.toSorted((a, b) => a - b);

test('page ranges cover the table once, the last one is open', async () => {
  const model = modelOf();
  fill(model.db, 30);
  const table = await planned(model);
  const ranges = await model.source.partition(table, { targetRows: 8, whole: false });
  expect(ranges.length).toBeGreaterThan(2);
  expect(ranges.at(-1)).toMatch(/:$/);
  run(model.db, (t) => Array.from({ length: 20 }, (_, index) => t.insert(ORDERS, row(100 + index))));
  const ids: number[] = [];
  for (const range of ranges) ids.push(...(await idsOf(model, table, range)));
  expect(ascending(ids)).toEqual([...Array.from({ length: 30 }, (_, id) => id + 1), ...Array.from({ length: 20 }, (_, id) => id + 100)]);
  expect(await model.source.partition(table, { targetRows: 8, whole: true })).toEqual(['whole']);
});

test('a row that moves between ranges that are read one after the other can be missed, or read twice', async () => {
  const outcomes = new Set<number>();
  for (let seed = 1; seed <= 40; seed++) {
    const model = modelOf(seed);
    fill(model.db, 8);
    run(model.db, (t) => [t.delete(ORDERS, row(1)), t.delete(ORDERS, row(2)), t.delete(ORDERS, row(8))]);
    model.db.vacuum(ORDERS);
    const table = await planned(model);
    const ranges = await model.source.partition(table, { targetRows: 2, whole: false });
    const ids: number[] = [];
    for (const range of ranges) {
      ids.push(...(await idsOf(model, table, range)));
      run(model.db, (t) => [t.update(ORDERS, row(5), row(5, 'moved'))]);
    }
    outcomes.add(ids.filter((id) => id === 5).length);
  }
  expect([...outcomes].toSorted()).toEqual(expect.arrayContaining([0, 1, 2]));
});

test('a read is of one moment, whatever is written while it runs', async () => {
  const model = modelOf();
  fill(model.db, 10);
  const table = await planned(model);
  const reading = collect(model, table, 'whole');
  await model.clock.advance(45);
  run(model.db, (t) => [t.delete(ORDERS, row(9)), t.insert(ORDERS, row(20)), t.update(ORDERS, row(8), row(21))]);
  model.db.vacuum(ORDERS);
  await model.settled(reading);
  expect(ascending(await reading)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test('a read holds the table’s lock to its end: no rewrite, no truncation', async () => {
  const model = modelOf();
  const { db, clock } = model;
  fill(db, 10);
  const table = await planned(model);
  const stopping = new AbortController();
  for (const end of [() => clock.advance(500), async () => model.cut(), async () => stopping.abort()]) {
    const reading = collect(model, table, '0:', stopping.signal).catch((error: unknown) => error);
    await clock.advance(45);
    expect(db.rewrite(ORDERS)).toBe(false);
    const truncating = db.begin();
    expect(truncating.truncate(ORDERS)).toBe('blocked');
    await end();
    expect(truncating.truncate(ORDERS)).toBe('done');
    truncating.rollback();
    await model.settled(reading);
    if (end.toString().includes('advance')) expect(await reading).toHaveLength(10);
    else expect(await reading).toBeInstanceOf(Error);
  }
  expect(db.rewrite(ORDERS)).toBe(true);
  await expect(idsOf(model, table, '0:')).rejects.toMatchObject({ kind: 'table-changed' });
  expect(await idsOf(model, table, 'whole')).toHaveLength(10);
});

test('a read waits for a truncation, and finds another file when it went through', async () => {
  for (const end of ['commit', 'rollback'] as const) {
    const model = modelOf();
    fill(model.db, 4);
    const table = await planned(model);
    const truncating = open(model.db, (t) => [t.truncate(ORDERS), t.insert(ORDERS, row(50))]);
    const reading = collect(model, table, '0:').catch((error: unknown) => error);
    await model.clock.advance(1000);
    truncating[end]();
    await model.clock.advance(1000);
    if (end === 'commit') truncating.becomeVisible();
    await model.settled(reading);
    if (end === 'commit') expect(await reading).toMatchObject({ kind: 'table-changed' });
    else expect(await reading).toHaveLength(4);
  }
});

test('a table that is gone or another one is not read', async () => {
  const model = modelOf();
  const table = await planned(model);
  model.db.dropTable(ORDERS);
  await expect(idsOf(model, table, 'whole')).rejects.toMatchObject({ kind: 'table-changed' });
  model.db.createTable(table.schema);
  await expect(idsOf(model, table, 'whole')).rejects.toMatchObject({ kind: 'table-changed' });
});

test('a vacuum leaves what an open read needs, and room for the rest', async () => {
  const model = modelOf();
  const { db } = model;
  fill(db, 8);
  run(db, (t) => Array.from({ length: 8 }, (_, index) => t.delete(ORDERS, row(index + 1))));
  expect(db.table(ORDERS).heap.pageCount).toBeGreaterThan(1);
  const rolledBack = open(db, (t) => [t.insert(ORDERS, row(99))]);
  db.vacuum(ORDERS);
  rolledBack.rollback();
  db.vacuum(ORDERS);
  expect(db.table(ORDERS).heap.pageCount).toBe(0);
});
