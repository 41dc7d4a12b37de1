import { readFileSync } from 'node:fs';
import type { PipelineDefinition, PipelineRecord, QueryDefinition, State } from '@nanosync/core';
import { newPipeline, PipelineError, positionOf, RECORD_VERSION, stateKeys } from '@nanosync/core';
import { FakeClock, openMemoryState } from '@nanosync/testkit';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DefinitionPart } from './edits.ts';
import { EDITS } from './edits.ts';
import { planApply, storeDefinitions, storePlan, toCheck } from './plan.ts';
import type { PreflightPorts } from './preflight.ts';
import { requireSameSource } from './reconnect.ts';

const connection = (name: string, dsn: string) => ({ name, type: 'postgres', dsn, properties: {} });
const OLD: PipelineDefinition = {
  name: 'p',
  replicationType: 'cdc_backfill',
  source: { connection: connection('c', 'postgres://a/db'), tables: ['s.a', 's.b'] },
  sink: { connection: { name: 'w', type: 'duckdb', dsn: null, properties: { path: '/w' } } },
  snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
};
const RECORD: PipelineRecord = {
  ...newPipeline(OLD, 5),
  phase: 'streaming',
  anchor: { id: 'a', l0: positionOf(1n, 0n), origin: {} },
  recorded: ['s.a'],
};

const RUNS: QueryDefinition = {
  ...{ statement: 'SELECT 1 AS a', table: 'r.a', key: ['a'], schedule: { everyMs: 60_000 }, timeoutMs: null },
};
const QUERY: PipelineDefinition = { ...OLD, replicationType: 'query', source: { ...OLD.source, tables: [] }, query: RUNS };
const QUERY_RECORD: PipelineRecord = { ...RECORD, definition: QUERY, phase: 'scheduled', recorded: [] };
const withQuery = (query: Partial<QueryDefinition>): PipelineDefinition => ({ ...QUERY, query: { ...RUNS, ...query } });

/** One edit of each part: those that a pipeline takes, with their effect, and those that it does not. */
const CASES: Readonly<Record<DefinitionPart, readonly (readonly [PipelineDefinition, string])[]>> = {
  replication_type: [[{ ...OLD, replicationType: 'query' }, 'refused: its replication_type differs']],
  'source.connection': [
    [
      { ...OLD, source: { ...OLD.source, connection: connection('c', 'postgres://b/db') } },
      'the services reconnect to the same database with it, and the pipeline goes on where it was',
    ],
    [{ ...OLD, source: { ...OLD.source, connection: { ...OLD.source.connection, type: 'x' } } }, 'refused: its source.connection differs'],
  ],
  'source.tables': [
    [withTables('s.a', 's.b', 's.c'), 'table s.c is added: it will be copied and then followed'],
    [withTables('s.a'), 'table s.b is not added'],
    [withTables('s.b', 's.a'), 'its tables are listed in another order'],
    [withTables('s.b'), 'refused: would lose all tables that it follows'],
  ],
  'source.columns': [
    [
      { ...OLD, source: { ...OLD.source, columns: { 's.b': { exclude: ['x'], hash: [] } } } },
      'columns are kept back of tables that are not copied yet',
    ],
  ],
  'source.query': [[withQuery({ statement: 'SELECT 2 AS a' }), 'the next run is of the new query']],
  'sink.table': [
    [withQuery({ table: 'r.b' }), 'the next run writes r.b, which is a new table; r.a stays as it is and is no longer written'],
  ],
  key: [
    [withQuery({ key: ['b'] }), 'the next run replaces the table whole; those after it are written by b'],
    [withQuery({ key: [] }), 'each result replaces the table whole from the next run on'],
  ],
  schedule: [
    [withQuery({ schedule: { everyMs: 5000 } }), 'it runs every 5 s, reckoned from the start of its last run'],
    [withQuery({ schedule: { cron: '0 * * * *', timeZone: 'UTC' } }), 'it runs next at the next time of "0 * * * *" (UTC)'],
  ],
  timeout: [[withQuery({ timeoutMs: 9000 }), 'the next run is given up after 9 s']],
  'sink.connection': [
    [
      { ...OLD, sink: { connection: { ...OLD.sink.connection, properties: { path: '/v' } } } },
      'refused: its sink.connection leads to another place',
    ],
    [
      { ...OLD, sink: { connection: { ...OLD.sink.connection, properties: { path: '/w', memory_limit: '1GB' } } } },
      'the sink is opened anew with it, at the same place, and the pipeline goes on where it was',
    ],
  ],
  'snapshot.concurrency': [[{ ...OLD, snapshot: { ...OLD.snapshot, concurrency: 7 } }, 'up to 7 partitions are read at once from now on']],
  'snapshot.max_rows_per_second': [
    [
      { ...OLD, snapshot: { ...OLD.snapshot, maxRowsPerSecond: 5000 } },
      'partitions that begin from now on are read at 5000 rows a second at most',
    ],
  ],
  'snapshot.target_rows_per_partition': [
    [
      { ...OLD, snapshot: { ...OLD.snapshot, targetRowsPerPartition: 9 } },
      'tables that are planned from now on have partitions of about 9 rows',
    ],
  ],
};

function withTables(...tables: readonly string[]): PipelineDefinition {
  return { ...OLD, source: { ...OLD.source, tables } };
}

let state: State;
const clock = new FakeClock();
beforeEach(async () => {
  state = openMemoryState({ clock });
  await state.put(stateKeys.pipeline('p'), RECORD, 0);
});

/** Another pipeline than before, of this record. */
const begin = async (change: Partial<PipelineRecord>) =>
  state.put(stateKeys.pipeline('p'), { ...RECORD, ...change }, (await state.get(stateKeys.pipeline('p')))!.version);
/** A table that is copied, with its ranges. */
const table = async (name: string, change: object, ranges: readonly string[] = []) => {
  const record = { v: RECORD_VERSION, table: name, phase: 'snapshotting', anchor: 'a', epoch: 'e', partitions: 0, older: null };
  await state.put(stateKeys.table('p', name), { ...record, l1Requested: false, ...change }, 0);
  for (const [partition, phase] of ranges.entries())
    await state.put(stateKeys.partition('p', name, 'e', partition), { v: RECORD_VERSION, partition, phase }, 0);
};
const stored = async () => (await state.get(stateKeys.pipeline('p')))?.value as PipelineRecord;

describe('every edit of a definition', () => {
  const cases = Object.entries(CASES).flatMap(([part, edits]) => edits.map(([wanted, says]) => ({ part, wanted, says })));

  it.each(cases)('of $part: $says', async ({ part, wanted, says }) => {
    const before = wanted.query === undefined ? RECORD : QUERY_RECORD;
    await state.put(stateKeys.pipeline('p'), before, (await state.get(stateKeys.pipeline('p')))!.version);
    if (says.startsWith('refused: ')) {
      await expect(planApply(state, [wanted])).rejects.toThrow(says.slice('refused: '.length));
      expect(await stored()).toEqual(before);
      return;
    }
    const plans = await planApply(state, [wanted]);
    expect(plans[0]).toMatchObject({ outcome: 'updated', edits: [{ part, effect: says, drops: part === 'key' }] }); // What a key has gathered is in no later result.
    await storeDefinitions(state, plans, { clock, confirmed: part === 'key' });
    expect(await stored()).toEqual({ ...before, definition: wanted });
    // Twice is the same as once.
    const again = await planApply(state, [wanted]);
    expect(again[0]).toMatchObject({ outcome: 'unchanged', edits: [] });
    const entry = await state.get(stateKeys.pipeline('p'));
    await storeDefinitions(state, again, { clock, confirmed: false });
    expect(await state.get(stateKeys.pipeline('p'))).toEqual(entry);
  });

  it('of source.columns copies a table that is followed anew', async () => {
    const wanted = { ...OLD, source: { ...OLD.source, columns: { 's.a': { exclude: [], hash: ['x'] } } } };
    const plans = await planApply(state, [wanted]);
    expect(plans[0]?.edits).toMatchObject([
      { part: 'source.columns', effect: expect.stringContaining('of s.a are kept back'), drops: false },
    ]);
    await storeDefinitions(state, plans, { clock, confirmed: false });
    expect(await stored()).toMatchObject({ definition: wanted, intent: { copyAnew: ['s.a'] } });
    expect(await planApply(state, [wanted])).toMatchObject([{ outcome: 'unchanged' }]);
  });

  it.each([
    ['cdc_backfill', 'snapshot', 'changes are followed no longer'],
    ['snapshot', 'cdc_backfill', 'all tables are copied anew and then followed'],
  ] as const)('of replication_type from %s to %s begins another life, once', async (from, to, says) => {
    const before = { ...RECORD, definition: { ...OLD, replicationType: from }, phase: 'completed' as const };
    await state.put(stateKeys.pipeline('p'), before, (await state.get(stateKeys.pipeline('p')))!.version);
    const wanted = { ...OLD, replicationType: to };
    const plans = await planApply(state, [wanted]);
    expect(plans[0]?.edits).toMatchObject([{ part: 'replication_type', effect: expect.stringContaining(says), drops: false }]);
    await storeDefinitions(state, plans, { clock, confirmed: false });
    expect(await stored()).toMatchObject({ definition: wanted, request: 'resnapshot' });
    expect(await planApply(state, [wanted])).toMatchObject([{ outcome: 'unchanged' }]);
  });

  it.each([
    ['cdc', 'cdc_backfill', 'streaming', { intent: { copyAnew: ['s.a', 's.b'] }, request: null }],
    ['cdc', 'cdc_backfill', 'failed', { request: 'resnapshot' }],
    ['cdc_backfill', 'cdc', 'streaming', { request: null, intent: { copyAnew: [] } }],
    ['snapshot', 'cdc', 'completed', { request: 'adopt' }],
    ['cdc', 'snapshot', 'streaming', { request: 'resnapshot' }],
  ] as const)('of replication_type from %s to %s while %s', async (from, to, phase, becomes) => {
    const before = { ...RECORD, definition: { ...OLD, replicationType: from }, phase };
    await state.put(stateKeys.pipeline('p'), before, (await state.get(stateKeys.pipeline('p')))!.version);
    await storeDefinitions(state, await planApply(state, [{ ...OLD, replicationType: to }]), { clock, confirmed: false });
    expect(await stored()).toMatchObject({ ...becomes, phase, definition: { replicationType: to } });
  });

  it('of replication_type to cdc says of each table that is not read what will be missing, and asks for the stop', async () => {
    const wanted = { ...OLD, replicationType: 'cdc' as const };
    await begin({ phase: 'snapshotting', recorded: ['s.a', 's.b'] });
    await table('s.a', { partitions: 3, replaces: false }, ['durable', 'read', 'reading']);
    await table('s.b', { phase: 'planned', replaces: false });
    const plans = await planApply(state, [wanted]);
    expect(plans[0]?.edits.map(({ effect, drops }) => [effect, drops])).toEqual([
      [
        'copying stops: tables that are read to their end stay as they are; the others go on with the rows that are read, and all changes from their L0 on',
        false,
      ],
      [
        'table s.a: 2 of 3 partitions are read: the rows of the others will be missing at the sink, but for those that change, until it is copied by: nanosync pipeline resnapshot p --table s.a',
        false,
      ],
      [
        'table s.b: nothing of it is read yet: its rows will be missing at the sink, but for those that change, until it is copied by: nanosync pipeline resnapshot p --table s.b',
        false,
      ],
    ]);
    await storeDefinitions(state, plans, { clock, confirmed: false });
    expect(await stored()).toMatchObject({ definition: wanted, copyStopped: true, phase: 'snapshotting', request: null });
    expect(await planApply(state, [wanted])).toMatchObject([{ outcome: 'unchanged', edits: [] }]);
    // At once back again: all is copied.
    await storeDefinitions(state, await planApply(state, [OLD]), { clock, confirmed: false });
    expect(await stored()).toMatchObject({ definition: OLD, intent: { copyAnew: ['s.a', 's.b'] } });
    expect((await stored()).copyStopped).toBeUndefined();
  });

  it.each([
    ['is read to its end', { partitions: 1 }, ['read']],
    ['is built', { phase: 'built' }, ['durable']],
    ['has its L1', { l1Requested: true, partitions: 1 }, ['reading']],
    ['was stopped', { missing: [[0, 0]], partitions: 1 }, ['planned']],
    ['adopts', { adopts: true }, []],
    ['is of another anchor', { anchor: 'b', partitions: 1 }, ['planned']],
  ] as const)('of replication_type to cdc does nothing to a table that %s', async (_, record, ranges) => {
    await begin({ phase: 'snapshotting', recorded: ['s.a', 's.b'] });
    await table('s.a', record, ranges);
    const [plan] = await planApply(state, [{ ...OLD, replicationType: 'cdc' }]);
    expect(plan?.edits).toMatchObject([{ effect: expect.stringContaining('copying stops'), drops: false }]);
  });

  it.each([
    'streaming',
    'snapshotting',
  ] as const)('of replication_type to cdc while %s says of a table that is still to be added that its rows are not copied', async (phase) => {
    await begin({ phase, recorded: ['s.a'] });
    const [plan] = await planApply(state, [{ ...OLD, replicationType: 'cdc' }]);
    expect(plan?.edits[1]).toMatchObject({
      effect: 'table s.b, which is still to be added: its changes will be followed, and none of its rows copied',
      drops: false,
    });
  });

  it('of replication_type to cdc lets a copy beside the stream go on: nothing is missing', async () => {
    await begin({ phase: 'snapshotting' });
    await table('s.a', { partitions: 1, older: { epoch: 'e0' } }, ['planned']);
    const [plan] = await planApply(state, [{ ...OLD, replicationType: 'cdc' }]);
    expect(plan?.edits[1]).toMatchObject({ effect: expect.stringContaining('is being copied anew, which goes on'), drops: false });
  });

  it.each([true, undefined])('of replication_type to cdc must be confirmed where users see rows that go with it: %s', async (replaces) => {
    await begin({ phase: 'paused', pausedIn: 'snapshotting' });
    await table('s.a', { partitions: 1, ...(replaces === undefined ? {} : { replaces }) }, ['planned']);
    const plans = await planApply(state, [{ ...OLD, replicationType: 'cdc' }]);
    expect(plans[0]?.edits[0]?.effect).toContain('copying stops, once the paused pipeline goes on: ');
    expect(plans[0]?.edits[1]).toMatchObject({
      effect: expect.stringMatching(/; what users see under its name goes with that$/),
      drops: true,
    });
    await expect(storeDefinitions(state, plans, { clock, confirmed: false })).rejects.toMatchObject({ code: 'unconfirmed' });
    await storeDefinitions(state, plans, { clock, confirmed: true });
    expect(await stored()).toMatchObject({ copyStopped: true });
  });

  it.each([
    [
      { phase: 'failed', failure: { reason: 'r', cure: 'Run: x' } },
      'is failed, and rows would be missing: switch to cdc once it goes on. Run: x',
    ],
    [{ phase: 'snapshotting', request: 'resnapshot' }, 'is about to begin anew'],
  ] as const)('of replication_type to cdc is refused where the pipeline does not go on: %o', async (record, says) => {
    await begin(record);
    await expect(planApply(state, [{ ...OLD, replicationType: 'cdc' }])).rejects.toThrow(says);
  });

  it.each([
    ['snapshot', {}],
    ['cdc', {}],
    ['cdc', { phase: 'paused', pausedIn: 'created' }],
  ] as const)('of replication_type to %s before anything is anchored is only another definition: %o', async (replicationType, record) => {
    const before: PipelineRecord = { ...newPipeline(OLD, 5), ...record };
    await state.put(stateKeys.pipeline('p'), before, (await state.get(stateKeys.pipeline('p')))!.version);
    const wanted = { ...OLD, replicationType };
    const plans = await planApply(state, [wanted]);
    expect(plans[0]?.edits).toMatchObject([{ effect: `begins as ${replicationType}` }]);
    await storeDefinitions(state, plans, { clock, confirmed: false });
    expect(await stored()).toEqual({ ...before, definition: wanted });
  });

  it.each([
    'anchored',
    'snapshotting',
    'paused',
    'failed',
  ] as const)('of replication_type from snapshot to cdc is refused while %s: not all rows are copied', async (phase) => {
    const before = { ...RECORD, definition: { ...OLD, replicationType: 'snapshot' as const }, phase };
    await state.put(stateKeys.pipeline('p'), before, (await state.get(stateKeys.pipeline('p')))!.version);
    await expect(planApply(state, [{ ...OLD, replicationType: 'cdc' }])).rejects.toThrow('switch to cdc once it is completed');
  });

  it('stands in docs/cli.md, and with its test in docs/18-commands-and-edits.md', () => {
    const page = (name: string) => readFileSync(new URL(`../../../../docs/${name}`, import.meta.url), 'utf8');
    for (const part of Object.keys(EDITS)) {
      expect(page('cli.md')).toContain(`| \`${part}\``);
      expect(page('18-commands-and-edits.md')).toMatch(new RegExp(`^\\|[^|]*\`${part}\``, 'm'));
    }
  });
});

describe('another connection to the source', () => {
  const wanted = { ...OLD, source: { ...OLD.source, connection: connection('c', 'postgres://b/db') } };
  const looked: unknown[] = [];
  const ports = (source: object): PreflightPorts => ({
    openSource: async (opened) => {
      looked.push(opened.dsn);
      return { check: async () => [], verify: async () => {}, [Symbol.asyncDispose]: async () => {}, ...source } as never;
    },
    checkSink: async () => [],
  });
  const required = async (source: object) => requireSameSource(ports(source), state, await planApply(state, [wanted]));

  it('is taken where it leads to the same database, from what is published on', async () => {
    await state.put(stateKeys.capture('p'), { v: RECORD_VERSION, anchor: 'a', published: positionOf(7n, 0n) }, 0);
    const asked: unknown[] = [];
    await required({ verify: async (...args: unknown[]) => void asked.push(args) });
    expect(asked).toEqual([['p', RECORD.anchor, positionOf(7n, 0n)]]);
    expect(looked.at(-1)).toBe('postgres://b/db');
  });

  it('is looked at with the columns that are kept back: what is not read may be of any type', async () => {
    const columns = { 's.a': { exclude: ['x'], hash: [] } };
    const stored = { ...RECORD, definition: { ...OLD, source: { ...OLD.source, columns } } };
    await state.put(stateKeys.pipeline('p'), stored, (await state.get(stateKeys.pipeline('p')))!.version);
    const wants: unknown[] = [];
    await required({
      check: async (...args: unknown[]) => {
        wants.push(args[2]);
        return [];
      },
      verify: async () => {},
    });
    expect(wants).toEqual([{ columns }]);
  });

  it('is refused where it does not, or may not read', async () => {
    const gap = { verify: () => Promise.reject(new PipelineError('gap', 'The system identifier is another.')) };
    await expect(required(gap)).rejects.toThrow(
      /source c: it does not lead to what .* system identifier is another\. Put the old connection back/,
    );
    await expect(required({ check: async () => [{ what: 'No right.', cure: 'GRANT it.' }] })).rejects.toThrow(
      'source c: No right. GRANT it.',
    );
    await expect(required({ verify: () => Promise.reject(new TypeError('x')) })).rejects.toThrow(TypeError);
  });

  it('is not looked at where nothing is anchored; then all of the pipeline is', async () => {
    const fresh = newPipeline(OLD, 5);
    await state.put(stateKeys.pipeline('p'), fresh, (await state.get(stateKeys.pipeline('p')))!.version);
    looked.length = 0;
    await required({});
    expect(looked).toEqual([]);
    const [plan] = await planApply(state, [{ ...wanted, sink: { connection: { ...OLD.sink.connection, properties: { path: '/v' } } } }]);
    expect(plan && toCheck(plan)).toEqual(plan?.definition);
  });
});

describe('applying', () => {
  it('tells every edit that is refused at once, and stores nothing of the file', async () => {
    const wanted = { ...withTables('s.b'), replicationType: 'query' as const };
    const other = { ...OLD, name: 'new', source: { ...OLD.source, tables: ['s.x'] } };
    const refused = planApply(state, [wanted, other]);
    await expect(refused).rejects.toThrow('its replication_type differs');
    await expect(refused).rejects.toThrow('all tables that it follows: leave one of s.a');
    expect(await state.list(stateKeys.pipelines)).toHaveLength(1);
  });

  it('leaves a pipeline alone that goes', async () => {
    const going: PipelineRecord = { ...RECORD, intent: { ...RECORD.intent, deletion: { dropTables: false } } };
    await state.put(stateKeys.pipeline('p'), going, (await state.get(stateKeys.pipeline('p')))!.version);
    await expect(planApply(state, [OLD])).rejects.toThrow('pipeline p is being deleted');
  });

  it('asks again for a yes where a plan that is made anew drops rows by what the sink knows', async () => {
    const wanted = [withTables('s.a', 's.b', 's.c')];
    const first = await planApply(state, wanted);
    // Someone else writes in between, so the plan is made anew.
    await state.put(stateKeys.pipeline('p'), RECORD, (await state.get(stateKeys.pipeline('p')))!.version);
    const complete = async ([plan]: Awaited<ReturnType<typeof planApply>>) => [
      { ...plan!, edits: [{ part: 'sink.table' as const, effect: 'what was left goes', drops: true }] },
    ];
    await expect(storeDefinitions(state, first, { clock, confirmed: false, complete })).rejects.toMatchObject({ code: 'unconfirmed' });
    expect(await stored()).toEqual(RECORD);
  });

  it('lets the key of a query without one be given, which gathered nothing', async () => {
    const keyless = { ...QUERY_RECORD, definition: withQuery({ key: [] }) };
    await state.put(stateKeys.pipeline('p'), keyless, (await state.get(stateKeys.pipeline('p')))!.version);
    expect((await planApply(state, [withQuery({ key: ['a'] })]))[0]?.edits).toMatchObject([{ part: 'key', drops: false }]);
  });

  it('drops rows that users see only where that was confirmed', async () => {
    const [plan] = await planApply(state, [withTables('s.a', 's.b', 's.c')]);
    const dropping = [{ ...plan!, edits: [{ part: 'source.tables' as const, effect: 's.a goes', drops: true }] }];
    await expect(storeDefinitions(state, dropping, { clock, confirmed: false })).rejects.toMatchObject({
      code: 'unconfirmed',
      message: 'Rows that users see would go: pipeline p: s.a goes.',
    });
    expect(await stored()).toEqual(RECORD);
    await storeDefinitions(state, dropping, { clock, confirmed: true });
    expect((await stored()).definition.source.tables).toContain('s.c');
  });

  it('is beaten by whoever wrote meanwhile', async () => {
    const plans = await planApply(state, [withTables('s.a', 's.b', 's.c')]);
    const entry = (await state.get(stateKeys.pipeline('p')))!;
    await state.put(entry.key, { ...RECORD, waiting: 'something' }, entry.version);
    expect(await storePlan(state, plans, 0)).toBe(false);
    await storeDefinitions(state, plans, { clock, confirmed: false });
    expect(await stored()).toMatchObject({ waiting: 'something', definition: { source: { tables: ['s.a', 's.b', 's.c'] } } });
  });
});
