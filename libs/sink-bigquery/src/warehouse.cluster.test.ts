import type { Sink } from '@nanosync/core';
import { at, changeOf, endOf, ORDERS, order, rowBatchOf } from '@nanosync/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { build } from './build.ts';
import { claimRows } from './loader.ts';
import { Stager } from './stage.ts';
import { scratch } from './test-support.ts';
import { Warehouse } from './warehouse.ts';

const E1 = { pipeline: 'shop', table: ORDERS.table, epoch: 'e1' };
const BUILD = {
  generation: E1,
  anchor: 'anchor',
  schema: ORDERS,
  partitions: 1,
  l0: at(100, 0),
  topicId: 'topic',
  start: [{ next: 0, session: 1 }],
};

let place: Awaited<ReturnType<typeof scratch>>;
beforeEach(async () => {
  place = await scratch();
});
afterEach(() => place[Symbol.asyncDispose]());

const tableNames = async () => {
  const { tables = [] } = await place.api.call<{ readonly tables?: readonly { readonly tableReference: { readonly tableId: string } }[] }>({
    method: 'GET',
    path: `${place.api.datasetPath}/tables`,
  });
  return tables.map(({ tableReference }) => tableReference.tableId).sort();
};
const rowsShown = async () => (await place.query(`SELECT COUNT(*) AS n FROM ${place.table('public_orders')}`))[0]?.n;

/** Batches of one row each, `first` to `last`, and the end marker of all of them with the last one. */
function requestOf(first: number, last: number, { owner = 'loader', count = 0 } = {}) {
  const names = { epoch: 'e1', partition: 0, attempt: 'a' };
  const batches = Array.from({ length: last - first + 1 }, (_, at) =>
    rowBatchOf(ORDERS, [order(first + at)], { ...names, batch: first + at }),
  );
  const ends = last === count - 1 ? [endOf(ORDERS, { ...names, batches: count, rows: count })] : [];
  return { pipeline: 'shop', owner, moves: [{ busPartition: 0, from: first, to: last + 1 }], batches, ends };
}

test('a staging table takes so many load jobs, then there is a next one, and the build reads all of them', async () => {
  using warehouse = new Warehouse(place.options);
  await warehouse.prepare();
  const claim = (owner: string) => claimRows(warehouse, { pipeline: 'shop', owner, stream: 'stream', busPartitions: 1 });
  const stagerOf = () => new Stager(warehouse, 'shop', 'null', { loadsATable: 2, stepItems: 1000 });
  const first = stagerOf();
  first.begin(await claim('loader'));
  for (const n of [0, 1, 2]) await first.stage(requestOf(n, n, { count: 5 }));
  // Another process goes on where it was, from the ledger alone.
  const second = stagerOf();
  second.begin(await claim('next'));
  for (const n of [3, 4]) await second.stage(requestOf(n, n, { owner: 'next', count: 5 }));
  const staging = async () => (await tableNames()).filter((name) => name.startsWith('_nanosync_staging_')).map((name) => name.slice(-2));
  expect(await staging()).toEqual(['_1', '_2', '_3']);
  expect(await build(warehouse, BUILD)).toEqual({ rows: 5 });
  expect(await rowsShown()).toBe('5');
  expect(await staging()).toEqual([]);
});

test('staging that a build left behind when its process died goes with the next claim', async () => {
  using warehouse = new Warehouse(place.options);
  await warehouse.prepare();
  const stager = new Stager(warehouse, 'shop', 'null');
  stager.begin(await claimRows(warehouse, { pipeline: 'shop', owner: 'loader', stream: 'stream', busPartitions: 1 }));
  await stager.stage(requestOf(0, 0, { count: 1 }));
  const drop = warehouse.drop.bind(warehouse);
  warehouse.drop = (name) => (name.startsWith('_nanosync_staging_') ? Promise.reject(new Error('died here')) : drop(name));
  await expect(build(warehouse, BUILD)).rejects.toThrow('died here');
  const staging = async () => (await tableNames()).filter((name) => name.startsWith('_nanosync_staging_'));
  expect(await staging()).toHaveLength(1);
  await using sink = await place.open();
  await sink.claim(E1, 'writer');
  expect(await staging()).toEqual([]);
  expect(await rowsShown()).toBe('1');
});

test('what is too much for one statement is staged in several steps', async () => {
  using warehouse = new Warehouse(place.options);
  await warehouse.prepare();
  const stager = new Stager(warehouse, 'shop', 'null', { loadsATable: 1000, stepItems: 3 });
  stager.begin(await claimRows(warehouse, { pipeline: 'shop', owner: 'loader', stream: 'stream', busPartitions: 1 }));
  await stager.stage(requestOf(0, 6, { count: 7 }));
  await stager.stage({ pipeline: 'shop', owner: 'loader', moves: [{ busPartition: 0, from: 7, to: 8 }], batches: [], ends: [] });
  const steps = await place.query(`SELECT COUNT(DISTINCT step) AS n FROM ${place.table('_nanosync_staged')}`);
  expect(steps).toEqual([{ n: '3' }]);
  expect(await build(warehouse, BUILD)).toEqual({ rows: 7 });
});

test('several processes begin at the same time in an empty dataset', async () => {
  const sinks = await Promise.all([0, 1, 2].map(() => place.open()));
  const claims = sinks.map((sink, index) => sink.claimRows(index === 2 ? 'other' : 'shop', `loader ${index}`, 'stream', 2));
  expect(await Promise.all(claims)).toEqual([
    [0, 0],
    [0, 0],
    [0, 0],
  ]);
  const staging = sinks.slice(0, 2).map((sink, index) => sink.stage({ ...requestOf(0, 0, { owner: `loader ${index}` }), ends: [] }));
  const outcomes = await Promise.allSettled(staging);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']); // The one whose claim came last has the rows.
  for (const sink of sinks) await sink[Symbol.asyncDispose]();
  expect(
    await place.query(
      `SELECT COUNT(*) AS n FROM ${place.table((await tableNames()).find((name) => name.startsWith('_nanosync_loader')) ?? '')}`,
    ),
  ).toEqual([{ n: '1' }]);
});

test('a dataset that was lost is built anew, under the same epoch', async () => {
  const sink = await place.open();
  const load = async (on: Sink) => {
    expect(await on.claimRows('shop', 'loader', 'stream', 1)).toEqual([0]);
    await on.stage(requestOf(0, 2, { count: 3 }));
    expect(await on.build(BUILD)).toEqual({ rows: 3 });
    await on.claim(E1, 'writer');
  };
  const apply = () =>
    sink.apply({
      generation: E1,
      owner: 'writer',
      schema: ORDERS,
      moves: [{ busPartition: 0, from: 0, to: 1, session: 1, last: at(200), floor: null }],
      changes: [changeOf(ORDERS, 'd', order(0), at(200))],
    });
  await load(sink);
  await place.api.call({ method: 'DELETE', path: place.api.datasetPath, query: { deleteContents: true } });
  await expect(apply()).rejects.toMatchObject({ kind: 'prerequisite' });
  const { project, dataset } = place.options;
  await place.api.call({ method: 'POST', path: '/datasets', json: { datasetReference: { projectId: project, datasetId: dataset } } });
  expect(await sink.generation(E1)).toBeUndefined();
  await load(sink);
  expect((await apply()).applied).toBe(1);
  expect(await rowsShown()).toBe('2');
  await sink[Symbol.asyncDispose]();
});

test('a table that somebody dropped is a gap, with its cure', async () => {
  const sink = await place.open();
  await sink.claimRows('shop', 'loader', 'stream', 1);
  await sink.stage(requestOf(0, 0, { count: 1 }));
  await sink.build(BUILD);
  await sink.claim(E1, 'writer');
  const physical = (await tableNames()).find((name) => name.startsWith('public_orders__')) ?? '';
  await place.run(`DROP TABLE ${place.table(physical)}`);
  const moves = [{ busPartition: 0, from: 0, to: 1, session: 1, last: at(200), floor: null }];
  const changes = [changeOf(ORDERS, 'd', order(0), at(200))];
  await expect(sink.apply({ generation: E1, owner: 'writer', schema: ORDERS, moves, changes })).rejects.toMatchObject({
    kind: 'gap',
    hint: 'Take the table anew: nanosync pipeline resnapshot shop',
  });
  await sink[Symbol.asyncDispose]();
});

test('a dataset of the version before is upgraded by the first step that writes', async () => {
  const path = `${place.api.datasetPath}/tables/_nanosync_meta`;
  const version = async () => (await place.api.call<{ readonly labels?: object }>({ method: 'GET', path })).labels;
  {
    await using sink = await place.open();
    await sink.claimRows('shop', 'loader', 'stream', 1);
  }
  expect(await version()).toEqual({ nanosync_version: '2' }); // What knows 1 alone refuses it.
  await place.api.call({ method: 'PATCH', path, json: { labels: { nanosync_version: '1' } } });
  await using sink = await place.open();
  expect(await sink.generation(E1)).toBeUndefined();
  expect(await version()).toEqual({ nanosync_version: '1' });
  await sink.claimRows('shop', 'loader', 'stream', 1);
  expect(await version()).toEqual({ nanosync_version: '2' });
});

test('a dataset of a newer nanosync is refused', async () => {
  const json = {
    tableReference: { projectId: place.options.project, datasetId: place.options.dataset, tableId: '_nanosync_meta' },
    schema: { fields: [{ name: 'version', type: 'INT64' }] },
    labels: { nanosync_version: '3' },
  };
  await place.api.call({ method: 'POST', path: `${place.api.datasetPath}/tables`, json });
  await using sink = await place.open();
  await expect(sink.claimRows('shop', 'loader', 'stream', 1)).rejects.toMatchObject({ kind: 'newer-version' });
  await expect(sink.generation(E1)).rejects.toMatchObject({ kind: 'newer-version' });
});
