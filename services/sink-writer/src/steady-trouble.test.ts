import type { ServiceContext, Sink, TroubleRecord } from '@nanosync/core';
import { newPipeline, PipelineError, positionOf, ROWS_BUS_PARTITIONS, stateKeys, topicsOf } from '@nanosync/core';
import { FakeClock, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { runSinkWriter } from './sink-writer.ts';

const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };

test('a sink that hangs for a while before each refusal is in trouble all the time, since the first one', async () => {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const nextId = { next: () => `i${++ids}` };
  const { bus, registry } = await openMemoryBus({ clock, ids: nextId });
  await bus.ensureTopic(topicsOf().rows('p'), ROWS_BUS_PARTITIONS);
  const pipeline = newPipeline(
    {
      ...{ name: 'p', replicationType: 'cdc_backfill', source: { connection: CONNECTION, tables: [] } },
      ...{ sink: { connection: CONNECTION }, snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null } },
    },
    0,
  );
  await state.put(stateKeys.pipeline('p'), { ...pipeline, phase: 'streaming', anchor: { id: 'a', l0: positionOf(1n), origin: {} } }, 0);
  let refused = 0;
  const claimRows = async () => {
    await clock.sleep(8000);
    refused++;
    throw new PipelineError('unavailable', 'The warehouse does not answer.');
  };
  const sink = { claimRows, [Symbol.asyncDispose]: async () => {} } as unknown as Sink;
  const ending = new AbortController();
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const ctx = {
    ...{ state, bus, registry, topics: topicsOf(), tasksBusPartitions: 1, changesBusPartitions: 1, keepMs: 0, log, clock, ids: nextId },
    ...{ openSink: async () => sink, failpoint: () => {}, signal: ending.signal },
  } as unknown as ServiceContext;
  const running = runSinkWriter(ctx);
  const trouble = async () => (await state.get(stateKeys.trouble('p', 'sink-writer')))?.value as TroubleRecord | undefined;
  for (let turn = 0; turn < 200 && refused === 0; turn++) await clock.advance(100);
  await clock.advance(100);
  const first = await trouble();
  expect(first?.reason).toBe('The warehouse does not answer.');
  for (let turn = 0; turn < 300; turn++) {
    await clock.advance(200);
    expect(await trouble()).toEqual(first);
  }
  expect(refused).toBeGreaterThan(2);
  ending.abort();
  await clock.advance(20_000);
  await running;
});
