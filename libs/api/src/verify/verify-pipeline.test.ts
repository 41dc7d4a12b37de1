import type { PipelineRecord, ServiceContext, Sink, Source, TableRecord } from '@nanosync/core';
import { PipelineError, RECORD_VERSION, RUNNING, stateKeys } from '@nanosync/core';
import { openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { failureOf, keyText, THINGS, TwoSides, thing } from './testing/two-sides.ts';
import type { VerifyEvent, VerifyRequest } from './verify-pipeline.ts';
import { verifyPipeline } from './verify-pipeline.ts';

const connection = { name: 'x', type: 'x', dsn: null, properties: {} };
const ANCHOR = { id: 'a1', l0: '0000000000000001/0000000000000000' as never, origin: {} };
const LIVE: PipelineRecord = {
  v: RECORD_VERSION,
  definition: {
    name: 'shop',
    replicationType: 'cdc_backfill',
    source: { connection, tables: [THINGS.table] },
    sink: { connection },
    snapshot: { concurrency: 1, targetRowsPerPartition: 1000, maxRowsPerSecond: null },
  },
  phase: 'streaming',
  anchor: ANCHOR,
  failure: null,
  waiting: null,
  request: null,
  intent: RUNNING,
  createdMs: 0,
};
const TABLE = { v: RECORD_VERSION, table: THINGS.table, phase: 'following', anchor: 'a1', epoch: 'e1', schema: THINGS, storage: 's' };

interface World {
  readonly record?: Partial<PipelineRecord>;
  readonly table?: Partial<TableRecord>;
  readonly sides?: TwoSides;
  readonly source?: Partial<Source>;
  readonly sink?: Partial<Sink>;
  readonly request?: Partial<VerifyRequest>;
}

/** Everything that a comparison of the pipeline says. */
async function verified({
  record,
  table = {},
  sides = new TwoSides([thing(1), thing(2)]),
  source,
  sink,
  request,
}: World): Promise<VerifyEvent[]> {
  const state = openMemoryState({ clock: sides.clock });
  await state.put(stateKeys.pipeline('shop'), { ...LIVE, ...record }, 0);
  await state.put(stateKeys.table('shop', THINGS.table), { ...TABLE, ...table } as unknown as TableRecord, 0);
  const opened = { [Symbol.asyncDispose]: async () => {} };
  const discovered = { schema: THINGS, storage: 'now', estimatedRows: 10 };
  const ctx = {
    state,
    clock: sides.clock,
    openSource: async () => ({ ...sides.sourcePort(), drift: async () => [], discover: async () => [discovered], ...opened, ...source }),
    openSink: async () => ({
      ...sides.sinkPort(),
      generations: async () => [{ epoch: 'e1', anchor: 'a1', current: true }],
      ...opened,
      ...sink,
    }),
  } as unknown as ServiceContext;
  const events: VerifyEvent[] = [];
  const reading = (async () => {
    const asked = { pipeline: 'shop', table: undefined, limits: {}, ...request };
    for await (const event of verifyPipeline(ctx, asked, new AbortController().signal)) if (event.kind !== 'progress') events.push(event);
  })();
  await sides.passTime(reading);
  await reading;
  return events;
}

test('says what each table came to, and all of them', async () => {
  expect(await verified({})).toMatchObject([
    { kind: 'table', table: THINGS.table, outcome: 'equal', sourceRows: 2, sinkRows: 2, quarantined: 0 },
    { kind: 'end', outcome: 'equal', tables: 1 },
  ]);
});

test('lists the keys that differ', async () => {
  const sides = new TwoSides([thing(1), thing(2)]);
  sides.sink.delete(keyText(thing(2)));
  expect(await verified({ sides, request: { table: 'things' } })).toMatchObject([
    { kind: 'difference', table: THINGS.table, difference: { kind: 'missing', key: { part: 'part 2', id: '2' } } },
    { kind: 'table', outcome: 'different' },
    { kind: 'end', outcome: 'different' },
  ]);
});

const { definition } = LIVE;
test.each<[string, Partial<PipelineRecord>, string]>([
  ['failed', { phase: 'failed', failure: { reason: 'r', cure: 'Do this.' } }, 'shop has failed'],
  ['paused', { intent: { ...RUNNING, run: 'paused' } }, 'shop is paused'],
  ['a sink that is paused', { intent: { ...RUNNING, sink: 'paused' } }, 'shop has its sink paused'],
  ['not begun', { phase: 'anchored' }, 'shop is anchored'],
])('a pipeline that does not move is refused, and compared as it is: %s', async (_name, record, message) => {
  const error = await failureOf(verified({ record }));
  expect([error.kind, error.message, error.hint]).toEqual([
    'prerequisite',
    expect.stringContaining(message),
    expect.stringContaining('--as-is'),
  ]);
  expect(await verified({ record, request: { limits: { asIs: true } } })).toMatchObject([{ outcome: 'equal', position: null }, {}]);
});

test('of one that copies nothing it is said which rows may lack', async () => {
  const record = { definition: { ...definition, replicationType: 'cdc' as const } };
  const [note] = await verified({ record });
  expect(note).toMatchObject({ kind: 'note', says: expect.stringContaining('shop copies no rows') });
});

test.each([
  [{ missing: [[2, 3]] as const, partitions: 4 }, 'the rows of 2 of 4 partitions were not read'],
  [{ missing: [], partitions: 0 }, 'its rows were not read'],
])('of a table whose copy was stopped it is said which rows lack: %o', async (table, says) => {
  const record = { definition: { ...definition, replicationType: 'cdc' as const } };
  const [, note] = await verified({ record, table });
  expect(note).toMatchObject({ kind: 'note', says: expect.stringContaining(`${THINGS.table}: its copy was stopped, and ${says}`) });
  const said = (note as { readonly says: string }).says;
  expect(said).toContain(`nanosync pipeline resnapshot shop --table ${THINGS.table}`);
});

test('a copy is compared as it is, and that is said', async () => {
  const record = { phase: 'completed' as const, definition: { ...definition, replicationType: 'snapshot' as const } };
  const drift = async () => Promise.reject(new Error('a copy has nothing that could drift'));
  expect(await verified({ record, source: { drift } })).toMatchObject([{ kind: 'note' }, { outcome: 'equal', position: null }, {}]);
});

test.each([
  ['No table of shop is called orders.', { request: { table: 'orders' } }],
  ['There is no pipeline other.', { request: { pipeline: 'other' } }],
  ['shop writes the result of a query', { record: { definition: { ...definition, replicationType: 'query' as const } } }],
])('%s', async (message, world: World) => {
  expect((await failureOf(verified(world))).message).toContain(message);
});

test.each<[string, World]>([
  ['is not as it was', { source: { drift: async () => [{ table: THINGS.table, reason: 'it is not as it was' }] } }],
  ['its columns or key', { source: { discover: async () => [{ schema: { ...THINGS, key: ['id'] }, storage: '', estimatedRows: 0 }] } }],
  ['is still being copied', { sink: { generations: async () => [] } }],
  ['is being copied anew', { sink: { generations: async () => [{ epoch: 'e0', anchor: 'a1', current: true }] } }],
  ['is not copied yet', { record: { anchor: { ...ANCHOR, id: 'a2' } } }],
  ['went away', { source: { partition: async () => Promise.reject(new PipelineError('unavailable', 'The source went away.')) } }],
])('a table that cannot be compared is told with the reason, and is not equal: %s', async (reason, world) => {
  expect(await verified(world)).toMatchObject([
    { kind: 'table', outcome: 'not-compared', reason: expect.stringContaining(reason) },
    { kind: 'end', outcome: 'not-compared' },
  ]);
});

test('a table that is truncated again and again while it is read is read in one transaction in the end', async () => {
  const sides = new TwoSides([thing(1), thing(2)]);
  const port = sides.sourcePort();
  const asked: boolean[] = [];
  const partition: Source['partition'] = async (table, options) => {
    asked.push(options.whole);
    if (!options.whole) throw new PipelineError('table-changed', 'It was rewritten.');
    return port.partition(table, options);
  };
  expect(await verified({ sides, source: { partition } })).toMatchObject([
    { kind: 'table', outcome: 'equal', sourceRows: 2, sinkRows: 2 },
    { kind: 'end', outcome: 'equal' },
  ]);
  expect(asked).toEqual([false, false, true]);
});

test('an error that nobody foresaw is no sentence about a table', async () => {
  const partition = async () => Promise.reject(new TypeError('x is not a function'));
  await expect(verified({ source: { partition } })).rejects.toThrow(TypeError);
});
