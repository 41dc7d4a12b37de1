import type { FenceWait } from '@nanosync/core';
import { positionOf } from '@nanosync/core';
import { expect, test } from 'vitest';
import { anchored, collect, fill, idsOf, modelOf, ORDERS, open, planned, row, run, streaming, words } from './test-support.ts';

test('with nothing running the slot is there at once, at the end of the log', async () => {
  const model = modelOf();
  fill(model.db, 2);
  const anchor = await anchored(model);
  expect(anchor.l0).toBe(positionOf(model.db.end, 0n));
  expect(model.db.slot).toMatchObject({ name: anchor.origin.slot, confirmed: model.db.end });
});

test('a transaction that hangs in its commit below L0 holds the fence, is in no stream, and is read behind the fence', async () => {
  const model = modelOf();
  const { db, source, clock } = model;
  const a = open(db, (t) => [t.insert(ORDERS, row(1, 'A'))]);
  const anchoring = source.anchor('p', 'a', [ORDERS]);
  await clock.advance(0);
  const b = open(db, (t) => [t.insert(ORDERS, row(2, 'B'))]);
  a.commit();
  await clock.advance(0);
  a.becomeVisible();
  await clock.advance(0);
  expect(db.slot).toBeUndefined();
  const late = open(db, (t) => [t.insert(ORDERS, row(3, 'T'))]);
  late.commit();
  b.commit();
  b.becomeVisible();
  const anchor = await anchoring;
  expect(positionOf(db.log.find(({ xid }) => xid === late.xid)?.lsn ?? 0n, 0n) < anchor.l0).toBe(true);

  // The trap: a read now does not see the row, and the stream never has it.
  expect(await idsOf(model, await planned(model), 'whole')).toEqual([1, 2]);
  const stream = await streaming(model, anchor);
  expect(words(await stream.read(500))).toEqual([]);

  const waits: (readonly FenceWait[])[] = [];
  let passed = false;
  const passing = source.fence({ signal: new AbortController().signal, onWait: (now) => waits.push(now) }).then(() => {
    passed = true;
  });
  await clock.advance(1000);
  expect(passed).toBe(false);
  expect(waits[0]).toEqual([
    {
      holder: `process ${late.xid}, committing and waiting for a synchronous standby`,
      ageSeconds: 1,
      cure: `SELECT pg_terminate_backend(${late.xid});`,
    },
  ]);
  late.becomeVisible();
  await model.settled(passing);
  expect((await idsOf(model, await planned(model), 'whole')).toSorted()).toEqual([1, 2, 3]);
});

test('the fence waits for prepared transactions and names the statement that ends them', async () => {
  const model = modelOf();
  const { db, source } = model;
  const orphan = open(db, (t) => [t.insert(ORDERS, row(1))]);
  orphan.prepare();
  const onWait = ([wait]: readonly FenceWait[]) => db.cure(wait?.cure ?? '');
  await model.settled(source.fence({ signal: new AbortController().signal, onWait }));
  expect(orphan.state).toBe('over');
  expect(db.rowsOf(ORDERS)).toEqual([]);
});

test('a slot creation that is cut off, or dropped, leaves no slot behind; another one goes on', async () => {
  const model = modelOf();
  const { db, source, cut, clock } = model;
  const held = open(db, (t) => [t.insert(ORDERS, row(1))]);
  const first = source.anchor('p', 'first', [ORDERS]).catch((error: unknown) => error);
  await clock.advance(0);
  const second = source.anchor('p', 'second', [ORDERS]).catch((error: unknown) => error);
  await clock.advance(0);
  const [name = ''] = db.creating;
  await source.drop({ id: 'first', l0: positionOf(0n, 0n), origin: { slot: name } });
  expect(await first).toMatchObject({ kind: 'unavailable' });
  expect(db.creating.size).toBe(1);
  cut();
  expect(await second).toMatchObject({ kind: 'unavailable' });
  expect(db.slot).toBeUndefined();
  held.rollback();
  expect((await anchored(model)).id).toBe('a');
});

test('an anchor does not fit a slot that is gone, moved on, or a log that ends before', async () => {
  const model = modelOf();
  const { db, source } = model;
  fill(db, 2);
  const anchor = await anchored(model);
  await source.verify('p', anchor, null);
  await expect(source.verify('p', anchor, positionOf(db.end + 1n, 0n))).rejects.toMatchObject({ kind: 'gap' });
  run(db, (t) => [t.insert(ORDERS, row(9))]);
  db.confirm(db.end, anchor.origin.slot ?? '');
  await expect(source.verify('p', anchor, null)).rejects.toMatchObject({ kind: 'gap' });
  await source.verify('p', anchor, positionOf(db.end, 0n));
  db.dropSlot();
  await expect(source.verify('p', anchor, positionOf(db.end, 0n))).rejects.toMatchObject({ kind: 'gap' });
});

test('while the server is away nothing answers, and what was under way breaks', async () => {
  const model = modelOf();
  const { db, source, clock } = model;
  fill(db, 20);
  const anchor = await anchored(model);
  const stream = await streaming(model, anchor);
  await stream.read(100);
  const reading = collect(model, await planned(model), 'whole').catch((error: unknown) => error);
  await clock.advance(50);
  db.away = true;
  await model.settled(reading);
  expect(await reading).toMatchObject({ kind: 'unavailable' });
  await expect(stream.failure()).rejects.toMatchObject({ kind: 'unavailable' });
  await expect(source.end()).rejects.toMatchObject({ kind: 'unavailable' });
  await expect(source.anchor('p', 'x', [ORDERS])).rejects.toMatchObject({ kind: 'unavailable' });
  expect(db.slot?.holder).toBeNull();
  db.away = false;
  expect(await idsOf(model, await planned(model), 'whole')).toHaveLength(20);
});

test('tables that are gone, made again or not published are drift', async () => {
  const model = modelOf();
  const { db, source } = model;
  await anchored(model);
  const table = await planned(model);
  expect(await source.drift('p', [table])).toEqual([]);
  expect(db.dropTable(ORDERS)).toBe(true);
  expect(await source.drift('p', [table])).toEqual([{ table: ORDERS, reason: 'Table public.orders is gone.' }]);
  db.createTable(table.schema);
  expect(await source.drift('p', [table])).toEqual([{ table: ORDERS, reason: 'Table public.orders was dropped and made again.' }]);
  expect(await source.drift('p', [await planned(model)])).toMatchObject([
    { reason: 'Table public.orders is no longer published as a whole.' },
  ]);
});
