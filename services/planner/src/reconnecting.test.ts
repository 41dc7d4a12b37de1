import type { ConnectionDefinition, PipelineDefinition, PipelineRecord, ServiceContext, Source } from '@nanosync/core';
import { newPipeline, PipelineError, stateKeys, updateRecord } from '@nanosync/core';
import { FakeClock, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { PipelinePlanner } from './pipeline-planner.ts';

const connection = (dsn: string): ConnectionDefinition => ({ name: 'c', type: 'fake', dsn, properties: {} });
const DEFINITION: PipelineDefinition = {
  name: 'p',
  replicationType: 'cdc_backfill',
  source: { connection: connection('old'), tables: ['s.a'] },
  sink: { connection: connection('sink') },
  snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
};

test('a pipeline whose connection was changed is looked at by the new one, and the old one is closed', async () => {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  await state.put(stateKeys.pipeline('p'), newPipeline(DEFINITION, 0), 0);
  const happened: string[] = [];
  const unready = () => Promise.reject(new PipelineError('prerequisite', 'not yet.'));
  const openSource = async ({ dsn }: ConnectionDefinition) => {
    happened.push(`opened ${dsn}`);
    return { check: unready, tidy: unready, [Symbol.asyncDispose]: async () => void happened.push(`closed ${dsn}`) } as unknown as Source;
  };
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, with: () => log };
  const openSink = async () => ({ check: async () => [], [Symbol.asyncDispose]: async () => {} });
  const signal = new AbortController().signal;
  const ctx = {
    state,
    clock,
    log,
    signal,
    ids: { next: () => 'i' },
    openSource,
    openSink,
    failpoint: () => {},
  } as unknown as ServiceContext;
  await using planner = new PipelinePlanner(ctx, 'p');
  for (let step = 0; step < 2; step++) await expect(planner.step()).rejects.toThrow('not yet.');
  await updateRecord<PipelineRecord>(state, stateKeys.pipeline('p'), (record) => ({
    ...record,
    definition: { ...DEFINITION, source: { ...DEFINITION.source, connection: { ...connection('new'), name: 'renamed' } } },
  }));
  for (let step = 0; step < 2; step++) await expect(planner.step()).rejects.toThrow('not yet.');
  expect(happened).toEqual(['opened old', 'closed old', 'opened new']);
});
