import type { LeftTable, PipelineDefinition, ServiceContext } from '@nanosync/core';
import { PipelineError, positionOf, tableIdOf } from '@nanosync/core';
import { expect, it } from 'vitest';
import { withLeftRows } from './left-rows.ts';
import { planApply } from './plan.ts';

const TABLE = tableIdOf('public', 'orders');
const connection = (name: string) => ({ name, type: 'duckdb', dsn: null, properties: {} });
const CDC: PipelineDefinition = {
  name: 'new',
  replicationType: 'cdc',
  source: { connection: connection('c'), tables: [TABLE, 'public.free'] },
  sink: { connection: connection('w') },
  snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
};
const LEFT: LeftTable = {
  table: TABLE,
  pipeline: 'old',
  schema: { table: TABLE, columns: [], key: [] },
  followedTo: positionOf(0x1a2bn, 5n),
};

async function effects(definition: PipelineDefinition, left: () => Promise<readonly LeftTable[]>, lenient = false) {
  const openSink = (async () => ({ left, [Symbol.asyncDispose]: async () => {} })) as unknown as ServiceContext['openSink'];
  const [plan] = await withLeftRows(openSink, await planApply(undefined, [definition]), { lenient });
  return plan?.edits.map(({ effect, drops }) => [effect, drops]);
}

it('says with which rows of a deleted pipeline one begins that copies nothing, and which may be missing', async () => {
  expect(await effects(CDC, async () => [LEFT])).toEqual([
    [
      'table public.orders begins with the rows that pipeline old left, with all changes up to 1A2B+5: what changed at the source after that, until now, is missing',
      false,
    ],
  ]);
  expect(await effects(CDC, async () => [{ ...LEFT, followedTo: null }])).toEqual([
    [
      'table public.orders begins with the rows that pipeline old left, of which no changes were followed: what changed at the source since they were copied is missing',
      false,
    ],
  ]);
  expect((await effects(CDC, async () => [{ ...LEFT, stopped: true }]))?.[0]?.[0]).toContain(
    'begins with the rows that pipeline old left (its copy was stopped: rows that were not read are missing), with all changes',
  );
  expect(await effects(CDC, async () => [])).toEqual([]);
});

it('says what a query does with the rows that another one left', async () => {
  const query = { statement: 's', table: TABLE, key: ['id'], schedule: { everyMs: 1000 }, timeoutMs: null };
  const definition: PipelineDefinition = { ...CDC, replicationType: 'query', source: { ...CDC.source, tables: [] }, query };
  expect(await effects(definition, async () => [LEFT])).toEqual([
    ['results are written over the rows that pipeline old left in public.orders, by id', false],
  ]);
  expect(await effects({ ...definition, query: { ...query, key: [] } }, async () => [LEFT])).toEqual([
    ['the first result takes the place of the rows that pipeline old left in public.orders', false],
  ]);
  const gathered = { ...LEFT, schema: { ...LEFT.schema, key: ['id'] } };
  expect(await effects({ ...definition, query: { ...query, key: [] } }, async () => [gathered])).toEqual([
    ['the first result takes the place of the rows that pipeline old left in public.orders', true],
  ]);
});

it('asks no sink where rows are copied, and passes over one that does not answer where the plan is only shown', async () => {
  expect(await effects({ ...CDC, replicationType: 'cdc_backfill' }, () => Promise.reject(new Error('asked')))).toEqual([]);
  const away = () => Promise.reject(new PipelineError('unavailable', 'It is away.'));
  expect(await effects(CDC, away, true)).toEqual([]);
  await expect(effects(CDC, away)).rejects.toThrow('It is away.');
});
