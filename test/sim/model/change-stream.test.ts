import type { Position, SourceEvent } from '@nanosync/core';
import { comparePositions, positionOf, sectionsOf } from '@nanosync/core';
import { expect, test } from 'vitest';
import type { Model } from './test-support.ts';
import { anchored, fill, LARGE, modelOf, ORDERS, open, row, run, schemaOf, streaming, words } from './test-support.ts';

const commitsOf = (events: readonly SourceEvent[]) => events.flatMap((event) => (event.kind === 'commit' ? [event.acknowledge] : []));

/** A model with large values in its rows, and an anchor. */
async function withLarge(seed = 1): Promise<Model & { readonly anchor: Awaited<ReturnType<typeof anchored>> }> {
  const model = modelOf(seed);
  fill(model.db, 6, LARGE);
  return { ...model, anchor: await anchored(model) };
}

test('every kind of write comes as its events, in order, at rising positions above L0', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const model = await withLarge(seed);
    const { db, anchor } = model;
    const stream = await streaming(model, anchor, { complete: () => true });
    run(db, (t) => [t.insert(ORDERS, row(7)), t.delete(ORDERS, row(1)), t.insert(ORDERS, row(1, 'again'))]);
    run(db, (t) => [t.update(ORDERS, row(2), row(9, 'moved', LARGE)), t.update(ORDERS, row(7), row(7, 'new'))]);
    await model.source.mark({ kind: 'watermark', pipeline: 'p' });
    await model.source.mark({ kind: 'watermark', pipeline: 'other' });
    const events = await stream.read();
    run(db, (t) => [t.truncate(ORDERS), t.insert(ORDERS, row(8))]);
    events.push(...(await stream.read()));
    expect(words(events)).toEqual([
      'c 7 name 7 body 7',
      'd 1',
      'c 1 again body 1',
      'd 2 key',
      `c 9 moved ${LARGE} key completed`,
      'u 7 new body 7',
      'watermark',
      'truncate',
      'c 8 name 8 body 8',
    ]);
    const positions = events.filter(({ kind }) => kind !== 'commit').map(({ position }) => position);
    for (const [index, position] of positions.entries())
      expect(comparePositions(position, positions[index - 1] ?? anchor.l0)).toBeGreaterThan(0);
    expect(commitsOf(events)).toEqual(db.log.slice(1).map(({ lsn }) => positionOf(lsn, 0n)));
  }
});

test('a large value that an update leaves alone is read below L1 and left out above', async () => {
  const model = await withLarge();
  let below = true;
  const stream = await streaming(model, model.anchor, { complete: () => below });
  run(model.db, (t) => [t.update(ORDERS, row(1), row(1, 'below', LARGE))]);
  expect(words(await stream.read())).toEqual([`u 1 below ${LARGE} completed`]);
  below = false;
  run(model.db, (t) => [t.update(ORDERS, row(1), row(1, 'above', LARGE))]);
  run(model.db, (t) => [t.update(ORDERS, row(2), row(12, 'moved', LARGE))]);
  expect(words(await stream.read())).toEqual(['u 1 above unchanged', 'd 2 key', `c 12 moved ${LARGE} key completed`]);
});

test('a completion waits until the event’s transaction is visible, and what stands before it does not', async () => {
  const model = await withLarge();
  const stream = await streaming(model, model.anchor, { complete: () => true });
  const late = open(model.db, (t) => [t.insert(ORDERS, row(7)), t.update(ORDERS, row(1), row(1, 'late', LARGE))]);
  late.commit();
  run(model.db, (t) => [t.insert(ORDERS, row(8))]);
  expect(words(await stream.read())).toEqual(['c 7 name 7 body 7']);
  late.becomeVisible();
  expect(words(await stream.read())).toEqual([`u 1 late ${LARGE} completed`, 'c 8 name 8 body 8']);
});

test('a completion gives a newer value, never an older one', async () => {
  const model = await withLarge();
  const stream = await streaming(model, model.anchor, { complete: () => true });
  const other = 'other '.repeat(6);
  run(model.db, (t) => [t.update(ORDERS, row(1), row(1, 'one', LARGE))]);
  run(model.db, (t) => [t.update(ORDERS, row(1), row(1, 'two', other))]);
  expect(words(await stream.read())).toEqual([`u 1 one ${other} completed`, `u 1 two ${other}`]);
});

test('a row that is gone makes an update rowless and a key change its delete half, and its later updates too, although above L1', async () => {
  const model = await withLarge();
  let below = true;
  const stream = await streaming(model, model.anchor, { complete: () => below });
  run(model.db, (t) => [t.update(ORDERS, row(1), row(11, 'moved', LARGE)), t.update(ORDERS, row(2), row(2, 'one', LARGE))]);
  run(model.db, (t) => [t.update(ORDERS, row(11), row(11, 'again', LARGE)), t.update(ORDERS, row(2), row(2, 'two', LARGE))]);
  run(model.db, (t) => [t.delete(ORDERS, row(11)), t.delete(ORDERS, row(2))]);
  below = false;
  expect(words(await stream.read())).toEqual([
    'd 1 key',
    'u 2 one unchanged rowless',
    'u 11 again unchanged rowless',
    'u 2 two unchanged rowless',
    'd 11',
    'd 2',
  ]);
});

test('what is acknowledged is confirmed, and a stream from there begins with that very commit, neighbours included', async () => {
  const model = await withLarge();
  const { db, anchor } = model;
  const confirmed: bigint[] = [];
  db.onConfirm = (lsn) => confirmed.push(lsn);
  const stream = await streaming(model, anchor);
  const transactions = [21, 22, 23].map((id) => open(db, (t) => [t.insert(ORDERS, row(id))]));
  for (const transaction of transactions) transaction.commit();
  const commits = commitsOf(await stream.read());
  expect(() => stream.reader.acknowledge(positionOf(db.end, 0n))).toThrow('no commit or idle event');
  stream.reader.acknowledge(commits[1] as Position);
  expect(confirmed).toEqual([db.log[2]?.lsn]);
  expect(db.log[2]?.endLsn).toBe(db.log[3]?.lsn);
  const second = streaming(model, anchor).catch((error: unknown) => error);
  await model.settled(second);
  expect(await second).toMatchObject({ kind: 'conflict' });
  stream.stop();
  expect(await stream.reader.next()).toBeUndefined();
  for (const from of [anchor.l0, commits[1] as Position]) {
    const again = await streaming(model, anchor, { from });
    expect(words(await again.read())).toEqual(['c 22 name 22 body 22', 'c 23 name 23 body 23']);
    again.stop();
  }
});

test('the end of the log is told once all is delivered and acknowledged, and may be acknowledged', async () => {
  const model = await withLarge();
  const { db, anchor } = model;
  const stream = await streaming(model, anchor);
  run(db, (t) => [t.insert(ORDERS, row(7))]);
  const events = await stream.read();
  expect(events.at(-1)?.kind).toBe('commit');
  stream.reader.acknowledge(commitsOf(events).at(-1) as Position);
  const idle = await stream.read();
  expect(idle).toEqual([{ kind: 'idle', position: positionOf(db.end, 0n) }]);
  stream.reader.acknowledge(positionOf(db.end, 0n));
  expect(db.slot?.confirmed).toBe(db.end);
  open(db, (t) => [t.insert(ORDERS, row(8))]).rollback();
  expect(await stream.read()).toEqual([{ kind: 'idle', position: positionOf(db.end, 0n) }]);
});

test('acknowledged values are kept from the server for a while, and told only if that is still right', async () => {
  const model = await withLarge();
  const { db, anchor } = model;
  let answer = true;
  const stream = await streaming(model, anchor, { confirm: { afterMs: 1000, mayTell: async () => answer } });
  run(db, (t) => [t.insert(ORDERS, row(7))]);
  const [first] = commitsOf(await stream.read(100));
  stream.reader.acknowledge(first as Position);
  await model.clock.advance(500);
  expect(positionOf(db.slot?.confirmed ?? 0n, 0n)).toBe(anchor.l0);
  await model.clock.advance(600);
  expect(positionOf(db.slot?.confirmed ?? 0n, 0n)).toBe(first);
  answer = false;
  run(db, (t) => [t.insert(ORDERS, row(8))]);
  stream.reader.acknowledge(commitsOf(await stream.read(100))[0] as Position);
  await model.clock.advance(5000);
  expect(positionOf(db.slot?.confirmed ?? 0n, 0n)).toBe(first);
});

test('a stream that the server ends delivers what had arrived, then breaks, and the next one has the rest', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const model = await withLarge(seed);
    const { db, anchor } = model;
    const stream = await streaming(model, anchor);
    for (let id = 31; id < 39; id++) run(db, (t) => [t.insert(ORDERS, row(id))]);
    if (seed % 2 === 0) model.cut();
    else db.breakStream();
    run(db, (t) => [t.insert(ORDERS, row(39))]);
    const events = await stream.read();
    await expect(stream.failure()).rejects.toMatchObject({ kind: 'unavailable' });
    expect(words(events)).not.toContain('c 39 name 39 body 39');
    expect(words(await (await streaming(model, anchor)).read())).toHaveLength(9);
  }
});

test('writes to a table that is not published then are not streamed, and a table that never is has no stream', async () => {
  const model = await withLarge();
  const other = schemaOf('public.other' as typeof ORDERS);
  model.db.createTable(other);
  run(model.db, (t) => [t.insert(other.table, row(1)), t.insert(ORDERS, row(7)), t.insert(other.table, row(2))]);
  run(model.db, (t) => [t.insert(other.table, row(3))]);
  const stream = await streaming(model, model.anchor);
  expect(words(await stream.read())).toEqual(['c 7 name 7 body 7']);
  stream.stop();
  const tables = await model.source.discover([ORDERS, other.table]);
  await expect(streaming(model, model.anchor, { tables })).rejects.toMatchObject({ kind: 'gap' });
});

test('what is streamed of a transaction that is open while a table is added depends on what the stream decoded before', async () => {
  const model = await withLarge();
  const { db, anchor } = model;
  const added = schemaOf('public.added' as typeof ORDERS);
  db.createTable(added);
  const straddling = open(db, (t) => [t.insert(added.table, row(1)), t.insert(ORDERS, row(7))]);
  db.alterPublication([added.table]);
  run(db, (t) => [t.insert(added.table, row(2))]);
  expect([straddling.insert(added.table, row(3)), straddling.insert(ORDERS, row(8))]).toEqual(['done', 'done']);
  straddling.commit();
  straddling.becomeVisible();
  const places = (events: readonly SourceEvent[]) =>
    events.flatMap((event) =>
      event.kind === 'change' ? [`${sectionsOf(event.position)[1]} ${event.table} ${String(event.after?.[0])}`] : [],
    );
  const tables = await model.source.discover([ORDERS, added.table]);
  const whole = await streaming(model, anchor, { tables });
  expect(places(await whole.read())).toEqual([
    '5 public.added 2',
    '5 public.added 1',
    '9 public.orders 7',
    '13 public.added 3',
    '17 public.orders 8',
  ]);
  whole.stop();
  const from = positionOf(db.log.at(-1)?.lsn ?? 0n, 0n);
  const rest = await streaming(model, anchor, { tables, from });
  expect(places(await rest.read())).toEqual(['5 public.orders 7', '9 public.added 3', '13 public.orders 8']);
});
