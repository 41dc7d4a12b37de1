import { expect, test } from 'vitest';
import { fill, modelOf, ORDERS, open, row, run } from './test-support.ts';

test('a statement sees its own transaction and what is over, and nothing of what runs', () => {
  const { db } = modelOf();
  fill(db, 2);
  const one = db.begin();
  expect(one.insert(ORDERS, row(3))).toBe('done');
  expect(one.update(ORDERS, row(3), row(3, 'again'))).toBe('done');
  expect(one.delete(ORDERS, row(1))).toBe('done');
  expect(one.update(ORDERS, row(1), row(1, 'gone'))).toBe('absent');
  expect(one.insert(ORDERS, row(1, 'back'))).toBe('done');
  const two = db.begin();
  expect(two.update(ORDERS, row(3), row(3, 'unseen'))).toBe('absent');
  expect(two.delete(ORDERS, row(3))).toBe('absent');
  expect(db.rowsOf(ORDERS)).toEqual([row(1), row(2)]);
  one.commit();
  expect(db.rowsOf(ORDERS)).toEqual([row(1, 'back'), row(2), row(3, 'again')]);
  expect(two.update(ORDERS, row(3), row(3, 'unseen'))).toBe('absent');
  one.becomeVisible();
  expect(two.update(ORDERS, row(3), row(3, 'seen'))).toBe('done');
});

test('rows that another transaction has touched are locked until it is over, keys too', () => {
  const { db } = modelOf();
  fill(db, 3);
  const one = open(db, (t) => [t.update(ORDERS, row(1), row(1, 'one')), t.delete(ORDERS, row(2)), t.insert(ORDERS, row(4))]);
  const two = db.begin();
  const tried = () => [
    two.update(ORDERS, row(1), row(1, 'two')),
    two.delete(ORDERS, row(2)),
    two.insert(ORDERS, row(2)),
    two.insert(ORDERS, row(4)),
    two.update(ORDERS, row(3), row(2)),
  ];
  expect(tried()).toEqual(Array(5).fill('blocked'));
  one.prepare();
  expect(tried()).toEqual(Array(5).fill('blocked'));
  one.commit();
  expect(tried()).toEqual(Array(5).fill('blocked'));
  one.becomeVisible();
  expect(tried()).toEqual(['done', 'absent', 'done', 'duplicate', 'duplicate']);
});

test('what is rolled back leaves nothing', () => {
  const { db } = modelOf();
  fill(db, 3);
  const one = open(db, (t) => [t.update(ORDERS, row(1), row(9)), t.delete(ORDERS, row(2)), t.insert(ORDERS, row(4))]);
  one.rollback();
  expect(one.state).toBe('over');
  run(db, (t) => [t.update(ORDERS, row(1), row(4)), t.delete(ORDERS, row(2)), t.insert(ORDERS, row(9))]);
  expect(db.rowsOf(ORDERS)).toEqual([row(3), row(4), row(9)]);
  expect(db.row(ORDERS, row(9))).toEqual(row(9));
  expect(db.row(ORDERS, row(1))).toBeUndefined();
});

test('a swap and a chain of keys go through in one transaction, by way of a free key where one is needed', () => {
  const { db } = modelOf();
  fill(db, 3);
  run(db, (t) => [
    t.update(ORDERS, row(1), row(99, 'name 1')),
    t.update(ORDERS, row(2), row(1, 'name 2')),
    t.update(ORDERS, row(99), row(2, 'name 1')),
    t.update(ORDERS, row(3), row(4, 'name 3')),
    t.update(ORDERS, row(4), row(5, 'name 3')),
  ]);
  expect(db.rowsOf(ORDERS)).toEqual([row(1, 'name 2'), row(2, 'name 1'), row(5, 'name 3')]);
});

test('a truncation needs the table for itself and takes it from others until it is over', async () => {
  const model = modelOf();
  const { db, source } = model;
  fill(db, 3);
  const before = (await source.discover([ORDERS]))[0]?.storage;
  const other = open(db, (t) => [t.update(ORDERS, row(1), row(1, 'one'))]);
  const one = db.begin();
  expect(one.truncate(ORDERS)).toBe('blocked');
  other.rollback();
  expect([one.insert(ORDERS, row(7)), one.truncate(ORDERS), one.insert(ORDERS, row(1, 'new'))]).toEqual(['done', 'done', 'done']);
  const two = db.begin();
  expect([two.insert(ORDERS, row(8)), two.delete(ORDERS, row(2)), two.truncate(ORDERS)]).toEqual(['blocked', 'blocked', 'blocked']);
  expect((await source.discover([ORDERS]))[0]?.storage).toBe(before);
  one.commit();
  expect(two.insert(ORDERS, row(8))).toBe('blocked');
  one.becomeVisible();
  expect((await source.discover([ORDERS]))[0]?.storage).not.toBe(before);
  expect([two.insert(ORDERS, row(8)), two.insert(ORDERS, row(1))]).toEqual(['done', 'duplicate']);
  two.rollback();
  const three = open(db, (t) => [t.truncate(ORDERS), t.insert(ORDERS, row(2))]);
  three.rollback();
  expect(db.rowsOf(ORDERS)).toEqual([row(1, 'new')]);
  expect(db.begin().delete(ORDERS, row(1))).toBe('done');
});

test('commits without a write between them are neighbours in the log', () => {
  const { db } = modelOf();
  const [one, two] = [open(db, (t) => [t.insert(ORDERS, row(1))]), open(db, (t) => [t.insert(ORDERS, row(2))])];
  two.commit();
  one.commit();
  expect(db.log[1]?.lsn).toBe(db.log[0]?.endLsn);
  expect(db.log.map(({ xid }) => xid)).toEqual([two.xid, one.xid]);
  expect(db.end).toBe(db.log[1]?.endLsn);
});

test('a restart ends what is open, keeps what is prepared, and shows what was committed', () => {
  const { db } = modelOf();
  const opened = open(db, (t) => [t.insert(ORDERS, row(1))]);
  const prepared = open(db, (t) => [t.insert(ORDERS, row(2))]);
  const committing = open(db, (t) => [t.insert(ORDERS, row(3))]);
  prepared.prepare();
  committing.commit();
  db.restart();
  expect([opened.state, prepared.state, committing.state]).toEqual(['over', 'prepared', 'over']);
  prepared.commit();
  prepared.becomeVisible();
  expect(db.rowsOf(ORDERS)).toEqual([row(2), row(3)]);
});
