import type { GenerationId, PipelineError, Sink } from '@nanosync/core';
import type { BigQueryProxy, Fault } from '@nanosync/testkit';
import { at, changeOf, clusterStack, ORDERS, order, startBigQueryProxy } from '@nanosync/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { sqlTypeOf } from './column-types.ts';
import { asideName } from './names.ts';
import { scratch } from './test-support.ts';

const E1: GenerationId = { pipeline: 'shop', table: ORDERS.table, epoch: 'e1' };
const E2 = { ...E1, epoch: 'e2' };
const NAME = 'public_orders';

let proxy: BigQueryProxy;
let warehouse: Awaited<ReturnType<typeof scratch>>;
let sink: Sink;

beforeAll(async () => {
  proxy = await startBigQueryProxy({ upstream: (await clusterStack('bigquery')).bigquery.url });
});
afterAll(() => proxy.close());
beforeEach(async () => {
  warehouse = await scratch(proxy.url);
  sink = await warehouse.open();
  await fill();
});
afterEach(async () => {
  proxy.faults.remove();
  await sink[Symbol.asyncDispose]();
  await warehouse[Symbol.asyncDispose]();
});

/** Makes a table of three orders, as somebody else would. */
async function fill(): Promise<void> {
  const columns = ORDERS.columns.map(({ name, type }) => `${name} ${sqlTypeOf(type)}`);
  await warehouse.run(`CREATE TABLE ${warehouse.table(NAME)} (${columns.join(', ')})`);
  await warehouse.run(`INSERT INTO ${warehouse.table(NAME)} SELECT i, CONCAT('theirs ', i), 1, 'x', TRUE FROM UNNEST([1, 2, 3]) AS i`);
}

const adopt = (on: Sink, generation = E1) =>
  on.adopt({ generation, anchor: 'anchor', schema: ORDERS, l0: at(100, 0), topicId: 'topic', start: [{ next: 0, session: 1 }] });
const failed = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error as PipelineError,
  );
const namesIn = async (table: string) =>
  (await warehouse.query(`SELECT name FROM ${warehouse.table(table)} ORDER BY id`)).map(({ name }) => name);
const THEIRS = ['theirs 1', 'theirs 2', 'theirs 3'];

/** One change, and what users see then: the generation under the name follows. */
async function expectFollows(on: Sink, generation: GenerationId): Promise<void> {
  await on.claim(generation, 'writer');
  const moves = [{ busPartition: 0, from: 0, to: 1, session: 1, last: at(201), floor: null }];
  const change = changeOf(ORDERS, 'u', order(2, 'changed'), at(201));
  await on.apply({ generation, owner: 'writer', schema: ORDERS, moves, changes: [change] });
  expect(await namesIn(NAME)).toEqual(['theirs 1', 'changed', 'theirs 3']);
}

const PLACES: readonly (readonly [string, Fault['match']])[] = [
  ['the new name is written down', { json: "'aside', 'public_orders__" }],
  ['the table is renamed', { json: 'RENAME TO' }],
  ['its rows are taken', { json: 'nanosync_adopt' }],
  ['the name is given', { jobId: '^nanosync_name_' }],
  ['the view is replaced', { json: 'CREATE OR REPLACE VIEW' }],
];

test.for(
  PLACES,
)('stopped before %s while the epoch is given up and another begins: all rows are there, once, and nothing of theirs is touched', async ([
  ,
  match,
]) => {
  const id = proxy.faults.add({ match, action: { do: 'holdRequest' } });
  const late = failed(adopt(sink));
  await proxy.faults.hit(id);
  await using next = await warehouse.open();
  await next.discard(E1);
  // An epoch that has the name already stays.
  const last = (await next.generation(E1)) === undefined ? E2 : E1;
  expect(await adopt(next, last)).toEqual({ rows: 3 });
  expect(await namesIn(NAME)).toEqual(THEIRS);
  proxy.faults.release(id);
  await late;
  expect(await adopt(next, last)).toEqual({ rows: 3 });
  await expectFollows(next, last);
  const asides = await Promise.all([E1, E2].map((one) => namesIn(asideName(one)).catch(() => [])));
  expect(asides.flat()).toEqual(THEIRS);
});

test('one that died between the two statements of setting aside is gone on with, though nothing has the name', async () => {
  const id = proxy.faults.add({ match: { json: 'RENAME TO' }, action: { do: 'failJob', error: 'quotaExceeded' }, times: 3 });
  await failed(adopt(sink));
  proxy.faults.remove(id);
  await warehouse.run(`ALTER TABLE ${warehouse.table(NAME)} RENAME TO \`${asideName(E1)}\``);
  await using next = await warehouse.open();
  expect(await adopt(next, E2)).toEqual({ rows: 3 });
  await expectFollows(next, E2);
});

test('a table that somebody makes again meanwhile is neither taken nor lost: the error names both', async () => {
  const id = proxy.faults.add({ match: { json: 'nanosync_adopt' }, action: { do: 'holdRequest' } });
  const late = failed(adopt(sink));
  await proxy.faults.hit(id);
  await warehouse.run(`DROP VIEW ${warehouse.table(NAME)}`);
  await fill();
  await using next = await warehouse.open();
  await next.discard(E1);
  const error = await failed(adopt(next, E2));
  expect(error).toMatchObject({ kind: 'prerequisite', message: expect.stringContaining(asideName(E1)) });
  expect(error?.hint).toContain('DROP TABLE');
  proxy.faults.release(id);
  await late;
  expect([await namesIn(NAME), await namesIn(asideName(E1))]).toEqual([THEIRS, THEIRS]);
});

test('is done once although each answer is lost once, and by two at the same time', async () => {
  for (const json of ["'aside', 'public_orders__", 'RENAME TO', 'nanosync_adopt'])
    proxy.faults.add({ match: { json }, action: { do: 'loseReply' } });
  await using other = await warehouse.open();
  expect(await Promise.all([adopt(sink), adopt(other)])).toEqual([{ rows: 3 }, { rows: 3 }]);
  await expectFollows(other, E1);
  expect(await namesIn(asideName(E1))).toEqual(THEIRS);
});

test('rows that do not fit are told before anything is touched, one difference at a time', async () => {
  const problem = async (schema = ORDERS) => (await sink.check('shop', [ORDERS.table], [schema], true))[0];
  expect(await problem()).toBeUndefined();
  expect((await problem({ ...ORDERS, columns: ORDERS.columns.slice(0, -1) }))?.what).toContain(
    'has a column paid that the source does not have',
  );
  const columns = [...ORDERS.columns, { name: 'more', type: { kind: 'text' as const } }];
  expect((await problem({ ...ORDERS, columns }))?.what).toContain('has no column more');
  const [id, ...rest] = ORDERS.columns;
  expect((await problem({ ...ORDERS, columns: [{ name: id?.name ?? '', type: { kind: 'text' } }, ...rest] }))?.what).toContain(
    'is INT64, not STRING',
  );
  await warehouse.run(`INSERT INTO ${warehouse.table(NAME)} (id) VALUES (3), (NULL)`);
  expect((await problem())?.what).toContain('has several rows of one key, 1 times');
  expect(await failed(adopt(sink))).toMatchObject({ kind: 'prerequisite' });
  await warehouse.run(`DELETE FROM ${warehouse.table(NAME)} WHERE id = 3`);
  expect((await problem())?.what).toContain('has 1 rows without a key');
  expect(
    (await warehouse.api.call<{ readonly type: string }>({ method: 'GET', path: `${warehouse.api.datasetPath}/tables/${NAME}` })).type,
  ).toBe('TABLE');
});
