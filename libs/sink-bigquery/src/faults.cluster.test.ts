import type { PipelineError, Sink } from '@nanosync/core';
import type { BigQueryProxy, Fault } from '@nanosync/testkit';
import { at, changeOf, clusterStack, endOf, ORDERS, order, rowBatchOf, startBigQueryProxy } from '@nanosync/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { progressName } from './names.ts';
import { scratch } from './test-support.ts';

const E1 = { pipeline: 'shop', table: ORDERS.table, epoch: 'e1' };
const FOREVER = 1000;

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
});
afterEach(async () => {
  proxy.faults.remove();
  await sink[Symbol.asyncDispose]();
  await warehouse[Symbol.asyncDispose]();
});

const plan = (match: Fault['match'], action: Fault['action'], more: Partial<Fault> = {}) => proxy.faults.add({ match, action, ...more });
const failed = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error as PipelineError,
  );

/** Stages the n-th batch of one row as bus partition 0's n-th message; with `last` the end marker comes with it. */
function stage(on: Sink, n: number, { owner = 'loader', last = false } = {}): Promise<void> {
  const names = { epoch: 'e1', partition: 0, attempt: 'a' };
  return on.stage({
    pipeline: 'shop',
    owner,
    moves: [{ busPartition: 0, from: n, to: n + 1 }],
    batches: [rowBatchOf(ORDERS, [order(n)], { ...names, batch: n })],
    ends: last ? [endOf(ORDERS, { ...names, batches: n + 1, rows: n + 1 })] : [],
  });
}

function build(on: Sink, epoch = 'e1') {
  const start = [{ next: 0, session: 1 }];
  return on.build({
    generation: { ...E1, epoch },
    anchor: 'anchor',
    schema: ORDERS,
    partitions: 1,
    l0: at(100, 0),
    topicId: 'topic',
    start,
  });
}

async function setUp(): Promise<void> {
  await sink.claimRows('shop', 'loader', 'stream', 1);
  await stage(sink, 0);
  await stage(sink, 1, { last: true });
  expect(await build(sink)).toEqual({ rows: 2 });
}

/** Applies the change of row 1 to this name as bus partition 0's n-th message. */
function apply(on: Sink, n: number, name: string, owner = 'writer') {
  const moves = [{ busPartition: 0, from: n, to: n + 1, session: 1, last: at(200 + n), floor: null }];
  return on.apply({ generation: E1, owner, schema: ORDERS, moves, changes: [changeOf(ORDERS, 'u', order(1, name), at(200 + n))] });
}

const nameOfOne = async () => (await warehouse.query(`SELECT name FROM ${warehouse.table('public_orders')} WHERE id = 1`))[0]?.name;

describe('changes', () => {
  beforeEach(async () => {
    await setUp();
    await sink.claim(E1, 'writer');
  });

  test('are written once although the answer of each request is lost once', async () => {
    for (const json of ['nanosync_apply', 'nanosync_changes']) plan({ json }, { do: 'loseReply' });
    plan({ method: 'POST', path: '/tables$' }, { do: 'loseReply' });
    expect(await apply(sink, 0, 'x')).toEqual({ applied: 1, quarantined: [], defects: 0 });
    expect(await nameOfOne()).toBe('x');
    expect(await sink.generation(E1)).toMatchObject({ changesApplied: 1, defects: 0, progress: [{ next: 1 }] });
    expect(proxy.requests().filter(({ jobId, outcome }) => jobId?.startsWith('nanosync_apply') && outcome === 409)).toHaveLength(1);
  });

  test('are not written when somebody has emptied the table that holds their progress', async () => {
    await apply(sink, 0, 'x');
    await warehouse.run(`DELETE FROM ${warehouse.table(progressName(E1))} WHERE TRUE`);
    expect(await failed(apply(sink, 1, 'y'))).toMatchObject({ kind: 'conflict' });
    expect(await nameOfOne()).toBe('x');
  });

  test('are written when the job takes its time', async () => {
    const id = plan({ json: 'nanosync_apply' }, { do: 'background', hold: true });
    const applying = apply(sink, 0, 'x');
    await proxy.faults.hit(id);
    expect(await nameOfOne()).toBe('name 1');
    proxy.faults.release(id);
    expect((await applying).applied).toBe(1);
    expect(await nameOfOne()).toBe('x');
  });

  test('of a writer that lost the table are not written, however late its job begins', async () => {
    const id = plan({ json: 'nanosync_apply' }, { do: 'background', hold: true });
    const late = failed(apply(sink, 0, 'late'));
    await proxy.faults.hit(id);
    await using other = await warehouse.open();
    await other.claim(E1, 'other');
    await apply(other, 0, 'other', 'other');
    proxy.faults.release(id);
    expect(await late).toMatchObject({ kind: 'conflict' });
    expect(await nameOfOne()).toBe('other');
    expect(await sink.generation(E1)).toMatchObject({ changesApplied: 1 });
  });

  test.each([
    'concurrentUpdate',
    'backendError',
    'tooManyStatements',
    'rateLimitExceeded',
  ] as const)('are tried again as a whole after %s', async (error) => {
    plan({ json: 'nanosync_apply' }, { do: 'failJob', error }, { times: 2 });
    expect(await apply(sink, 0, 'x')).toEqual({ applied: 1, quarantined: [], defects: 0 });
    expect(await nameOfOne()).toBe('x');
    expect(await sink.generation(E1)).toMatchObject({ changesApplied: 1 });
  });

  test('wait for a quota, which the error names with what to do', async () => {
    plan({ json: 'nanosync_changes' }, { do: 'failJob', error: 'quotaExceeded' });
    const error = await failed(apply(sink, 0, 'x'));
    expect(error).toMatchObject({ kind: 'unavailable' });
    expect(error?.message).toContain('imports or query appends per table');
    expect(error?.hint).toContain('flush_interval');
    expect(await sink.generation(E1)).toMatchObject({ changesApplied: 0, progress: [{ next: 0 }] });
    expect((await apply(sink, 0, 'x')).applied).toBe(1);
  });

  test('need rights, which the error names', async () => {
    plan({ json: 'nanosync_apply' }, { do: 'answer', error: 'accessDenied' });
    const error = await failed(apply(sink, 0, 'x'));
    expect(error).toMatchObject({ kind: 'prerequisite' });
    expect(error?.hint).toMatch(/roles\/bigquery\.dataEditor .* roles\/bigquery\.jobUser/);
  });

  test('are not written twice when nobody answers for long', async () => {
    plan({ json: 'nanosync_apply' }, { do: 'loseReply' }, { times: FOREVER });
    plan({ kind: 'job' }, { do: 'loseRequest' }, { times: FOREVER });
    expect(await failed(apply(sink, 0, 'x'))).toMatchObject({ kind: 'unavailable' });
    proxy.faults.remove();
    expect(await failed(apply(sink, 0, 'x'))).toMatchObject({ kind: 'conflict' });
    expect(await nameOfOne()).toBe('x');
    expect((await sink.claim(E1, 'again')).progress).toMatchObject([{ next: 1 }]);
  });
});

describe('row batches', () => {
  beforeEach(async () => {
    await sink.claimRows('shop', 'loader', 'stream', 1);
  });
  const stagedRows = async () =>
    Number(
      (await warehouse.query(`SELECT SUM(row_count) AS n FROM ${warehouse.table('_nanosync_staged')} WHERE kind = 'rows'`))[0]?.n ?? 0,
    );

  test('are staged once although each answer is lost once', async () => {
    for (const json of ['nanosync_loader', 'nanosync_load_']) plan({ json }, { do: 'loseReply' });
    await stage(sink, 0, { last: true });
    expect(await stagedRows()).toBe(1);
    expect(await build(sink)).toEqual({ rows: 1 });
  });

  test('of a loader that died after its load job are taken over by the next one', async () => {
    const id = plan({ json: 'INSERT INTO .*_nanosync_staged' }, { do: 'holdRequest' });
    const dying = failed(stage(sink, 0, { last: true }));
    await proxy.faults.hit(id);
    await using next = await warehouse.open();
    expect(await next.claimRows('shop', 'next', 'stream', 1)).toEqual([1]);
    proxy.faults.release(id);
    expect(await dying).toMatchObject({ kind: 'conflict' });
    expect(await next.staged(E1)).toEqual([{ partition: 0, attempt: 'a', rows: 1, quarantined: 0 }]);
    expect(await build(next)).toEqual({ rows: 1 });
  });

  test('of a loader that was paused before its load job are never loaded: the next one takes the id', async () => {
    const id = plan({ json: 'nanosync_load_', path: 'upload' }, { do: 'holdRequest' });
    const paused = failed(stage(sink, 0));
    await proxy.faults.hit(id);
    await using next = await warehouse.open();
    expect(await next.claimRows('shop', 'next', 'stream', 1)).toEqual([0]);
    proxy.faults.release(id);
    expect(await paused).toMatchObject({ kind: 'conflict' });
    await stage(next, 0, { owner: 'next', last: true });
    expect(await stagedRows()).toBe(1);
    expect(await build(next)).toEqual({ rows: 1 });
  });

  test('whose load job fails are staged by the next try under another id', async () => {
    plan({ json: 'nanosync_load_', path: 'upload' }, { do: 'failJob', error: 'quotaExceeded' });
    expect(await failed(stage(sink, 0, { last: true }))).toMatchObject({ kind: 'unavailable' });
    expect(await sink.staged(E1)).toEqual([]);
    expect(await sink.claimRows('shop', 'loader', 'stream', 1)).toEqual([0]);
    await stage(sink, 0, { last: true });
    expect(await build(sink)).toEqual({ rows: 1 });
  });

  test('of many megabytes go up in pieces, also when answers are lost', async () => {
    const body = 'x'.repeat(200_000);
    const rows = Array.from({ length: 50 }, (_, id) => order(id, 'name', body));
    const names = { epoch: 'e1', partition: 0, attempt: 'a' };
    plan({ kind: 'upload' }, { do: 'loseReply' });
    plan({ kind: 'startUpload' }, { do: 'loseReply' });
    await sink.stage({
      pipeline: 'shop',
      owner: 'loader',
      moves: [{ busPartition: 0, from: 0, to: 1 }],
      batches: [rowBatchOf(ORDERS, rows, { ...names, batch: 0 })],
      ends: [endOf(ORDERS, { ...names, batches: 1, rows: 50 })],
    });
    expect(await build(sink)).toEqual({ rows: 50 });
    expect(await warehouse.query(`SELECT COUNTIF(LENGTH(body) = 200000) AS n FROM ${warehouse.table('public_orders')}`)).toEqual([
      { n: '50' },
    ]);
  });
});

describe('a build', () => {
  beforeEach(async () => {
    await sink.claimRows('shop', 'loader', 'stream', 1);
    await stage(sink, 0, { last: true });
  });
  const buildJobs = () =>
    proxy.requests().filter(({ kind, jobId, outcome }) => kind === 'insert' && jobId?.startsWith('nanosync_build') && outcome === 200);

  test('is one job for two who ask at the same time, and its answer may be lost', async () => {
    plan({ json: 'nanosync_build' }, { do: 'loseReply' });
    await using other = await warehouse.open();
    expect(await Promise.all([build(sink), build(other)])).toEqual([{ rows: 1 }, { rows: 1 }]);
    const before = buildJobs().length;
    expect(await build(other)).toEqual({ rows: 1 });
    expect(buildJobs()).toHaveLength(before);
    expect(await warehouse.query(`SELECT COUNT(*) AS n FROM ${warehouse.table('public_orders')}`)).toEqual([{ n: '1' }]);
  });

  test('that failed for good is tried again under the next id', async () => {
    plan({ json: 'nanosync_build' }, { do: 'failJob', error: 'quotaExceeded' }, { times: 3 });
    const before = buildJobs().length;
    for (let round = 0; round < 3; round++) expect(await failed(build(sink))).toMatchObject({ kind: 'unavailable' });
    await using other = await warehouse.open();
    expect(await build(other)).toEqual({ rows: 1 });
    const jobs = buildJobs().slice(before);
    expect(jobs.map(({ jobId }) => jobId?.slice(-2))).toEqual(['_0', '_1', '_2', '_3']);
  });

  test('is shown by whoever comes next when its process died before', async () => {
    const id = plan({ jobId: '^nanosync_name_' }, { do: 'holdRequest' });
    const dying = build(sink);
    await proxy.faults.hit(id);
    await using next = await warehouse.open();
    expect(await next.generation(E1)).toMatchObject({ current: false, rowsBuilt: 1 });
    expect(await next.claim(E1, 'w')).toMatchObject({ current: true });
    expect(await nameRows()).toBe('1');
    proxy.faults.release(id);
    expect(await dying).toEqual({ rows: 1 });
  });
  const nameRows = async () => (await warehouse.query(`SELECT COUNT(*) AS n FROM ${warehouse.table('public_orders')}`))[0]?.n;
});

test('a switch that comes late does not put an older generation back', async () => {
  await setUp();
  for (const epoch of ['e2', 'e3']) {
    const names = { epoch, partition: 0, attempt: 'a' };
    const from = epoch === 'e2' ? 2 : 3;
    await sink.stage({
      pipeline: 'shop',
      owner: 'loader',
      moves: [{ busPartition: 0, from, to: from + 1 }],
      batches: [rowBatchOf(ORDERS, [order(1, epoch)], { ...names, batch: 0 })],
      ends: [endOf(ORDERS, { ...names, batches: 1, rows: 1 })],
    });
    await build(sink, epoch);
  }
  const id = plan({ json: 'CREATE OR REPLACE VIEW' }, { do: 'holdRequest' });
  const late = failed(sink.switchTo({ ...E1, epoch: 'e2' }));
  await proxy.faults.hit(id);
  await using other = await warehouse.open();
  expect(await failed(other.switchTo({ ...E1, epoch: 'e3' }))).toMatchObject({ kind: 'conflict' }); // e2 has the name, so e3 is gone.
  proxy.faults.release(id);
  expect(await late).toBeUndefined();
  expect(await nameOfOne()).toBe('e2');
  expect(await other.generations('shop', ORDERS.table)).toEqual([{ epoch: 'e2', anchor: 'anchor', current: true }]);
  await other.switchTo({ ...E1, epoch: 'e2' });
  expect(await failed(other.switchTo(E1))).toMatchObject({ kind: 'conflict' });
});

test('a deletion that dies before the view is dropped leaves it in nobody’s way, and drops it when it is repeated', async () => {
  await setUp();
  plan({ json: 'DROP VIEW' }, { do: 'answer', error: 'accessDenied' });
  expect(await failed(sink.release('shop', null, { dropTables: true }))).toMatchObject({ kind: 'prerequisite' });
  const { project, dataset } = warehouse.options;
  const view = () =>
    warehouse.query(`SELECT table_name FROM \`${project}.${dataset}\`.INFORMATION_SCHEMA.VIEWS WHERE table_name = 'public_orders'`);
  expect(await sink.check('other', [ORDERS.table], [ORDERS])).toEqual([]);
  expect(await view()).toHaveLength(1);
  await sink.release('shop', null, { dropTables: true });
  expect(await view()).toHaveLength(0);
  await warehouse.run(`CREATE VIEW ${warehouse.table('public_orders')} AS SELECT 1 AS x`);
  expect((await sink.check('other', [ORDERS.table], [ORDERS]))[0]?.what).toContain('is a view that nanosync did not make');
});

test('check finds what is wrong and touches nothing', async () => {
  expect(await sink.check('shop', [ORDERS.table], [ORDERS])).toEqual([]);
  const tables = await warehouse.api.call<{ readonly tables?: readonly unknown[] }>({
    method: 'GET',
    path: `${warehouse.api.datasetPath}/tables`,
  });
  expect(tables.tables ?? []).toEqual([]);
  plan({ json: 'dryRun' }, { do: 'answer', error: 'accessDenied' });
  expect((await sink.check('shop', [ORDERS.table]))[0]?.cure).toContain('roles/bigquery.jobUser');
  await warehouse.run(`CREATE TABLE ${warehouse.table('public_orders')} (x INT64)`);
  const [taken] = await sink.check('shop', [ORDERS.table]);
  expect(taken?.what).toContain('is a table that nanosync did not make');
  expect(taken?.cure).toContain('DROP TABLE');
  const [begun] = await sink.check('shop', [ORDERS.table], [ORDERS], true);
  expect(begun?.what).toBe('public_orders in BigQuery has no column id.');
  const columns = [...ORDERS.columns, { name: 'NAME', type: { kind: 'text' as const } }];
  expect((await sink.check('shop', [], [{ ...ORDERS, columns }]))[0]?.what).toContain('one name in BigQuery');
});

test('a dataset that is not there is told with the command that makes it', async () => {
  const { openBigQuerySink } = await import('./bigquery-sink.ts');
  await using lost = await openBigQuerySink({ ...warehouse.options, dataset: 'nowhere' });
  expect(await lost.check('shop', [ORDERS.table])).toEqual([
    {
      what: `the dataset ${warehouse.options.project}:nowhere does not exist.`,
      cure: expect.stringMatching(/^Make it: curl .*"datasetId":"nowhere".*\/datasets$/),
    },
  ]);
  expect(await lost.generation(E1)).toBeUndefined();
  expect(await failed(lost.claimRows('shop', 'loader', 'stream', 1))).toMatchObject({ kind: 'prerequisite' });
  await using elsewhere = await openBigQuerySink({ ...warehouse.options, location: 'EU' });
  expect((await elsewhere.check('shop', [ORDERS.table]))[0]?.what).toContain('is in US, not in EU');
});
