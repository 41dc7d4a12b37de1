import type { AnswerOf } from '@nanosync/api';
import type { GenerationStatus, PipelineRecord, TableSchema } from '@nanosync/core';
import { newPipeline, positionOf, RECORD_VERSION, stateKeys, tableIdOf } from '@nanosync/core';
import { expect, test } from 'vitest';
import { DEFINITION, startApi } from './testing/api-harness.ts';

const TABLE: TableSchema = {
  table: tableIdOf('public', 'orders'),
  columns: [
    { name: 'id', type: { kind: 'int32' } },
    { name: 'note', type: { kind: 'text' } },
  ],
  key: ['id'],
};

const PLANTED = 'a-value-that-no-log-may-have';
const row = { cells: [7, PLANTED], version: 'v', position: positionOf(1n, 0n) };

/** A server with a live pipeline whose source is empty and whose sink has a row; the sink has applied everything, or never does. */
async function serving({
  stuck = false,
  phase = 'streaming',
}: {
  readonly stuck?: boolean;
  readonly phase?: PipelineRecord['phase'];
} = {}) {
  const status = { rowsBuilt: 0, quarantined: 0, progress: [{ last: positionOf(stuck ? 1n : 9n, 0n) }] } as unknown as GenerationStatus;
  const api = await startApi({
    source: {
      drift: async () => [],
      discover: async () => [{ schema: TABLE, storage: '', estimatedRows: 0 }],
      mark: async () => {},
      end: async () => positionOf(5n, 0n),
      fence: async () => {},
      partition: async () => [],
      readRows: async (_table, keys) => keys.map(() => undefined),
    },
    sink: {
      generations: async () => [{ epoch: 'e', anchor: 'a', current: true }],
      generation: async () => status,
      scan: async function* () {
        yield [row];
      },
    },
  });
  const record: PipelineRecord = { ...newPipeline(DEFINITION, 0), phase, anchor: { id: 'a', l0: positionOf(1n, 0n), origin: {} } };
  await api.ctx.state.put(stateKeys.pipeline('shop'), record, 0);
  const table = {
    v: RECORD_VERSION,
    table: TABLE.table,
    phase: 'following',
    anchor: 'a',
    epoch: 'e',
    schema: TABLE,
    storage: '',
    older: null,
  };
  await api.ctx.state.put(stateKeys.table('shop', TABLE.table), table, 0);
  return api;
}

type Query = { readonly values?: 'true'; readonly limit?: string; readonly asIs?: 'true' };

async function verified(api: Awaited<ReturnType<typeof serving>>, query: Query = {}, name = 'shop'): Promise<AnswerOf<'verify'>[]> {
  const lines: AnswerOf<'verify'>[] = [];
  const stream = api.client.stream('verify', { params: { name }, query }, new AbortController().signal);
  for await (const line of stream) if (line.kind !== 'progress') lines.push(line);
  return lines;
}

test('tells keys and columns, values only where they are asked for, and logs neither', async () => {
  await using api = await serving();
  const lines = await verified(api);
  expect(lines).toEqual([
    { kind: 'difference', table: 'public.orders', how: 'extra', key: { id: 7 }, columns: [] },
    expect.objectContaining({ kind: 'table', outcome: 'different', sourceRows: 0, sinkRows: 1 }),
    { kind: 'end', outcome: 'different', tables: 1 },
  ]);
  expect(JSON.stringify(await verified(api, { values: 'true' }))).toContain(PLANTED);
  expect(api.log.join('\n')).toContain('comparison ended');
  expect(api.log.join('\n')).not.toContain(PLANTED);
});

test('what keeps all of it from being compared is an answer of its own', async () => {
  await using api = await serving({ phase: 'anchored' });
  await expect(verified(api, {}, 'shopp')).rejects.toMatchObject({ code: 'not-found', hint: 'Did you mean shop?' });
  await expect(verified(api, { limit: 'many' })).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('--limit') });
  await expect(verified(api)).rejects.toMatchObject({ code: 'prerequisite', message: expect.stringContaining('shop is anchored') });
  expect((await verified(api, { asIs: 'true' })).at(-1)).toMatchObject({ kind: 'end' });
});

test('there is one comparison at a time, which ends with its client', async () => {
  await using api = await serving({ stuck: true });
  const leaving = new AbortController();
  const stream = api.client.stream('verify', { params: { name: 'shop' }, query: {} }, leaving.signal);
  expect((await stream.next()).value).toMatchObject({ kind: 'progress', step: 'waiting' });
  await expect(verified(api)).rejects.toMatchObject({ code: 'too-many-requests' });
  leaving.abort();
  await stream.return(undefined);
  await expect
    .poll(() => verified(api, { asIs: 'true' }).catch((error: { code: string }) => error.code), { timeout: 10_000 })
    .toHaveLength(3);
});
