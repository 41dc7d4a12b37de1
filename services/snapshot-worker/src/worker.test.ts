import type { Bus, PartitionRecord, PartitionTask, PipelineRecord, Producer, ServiceContext, Source, TableRecord } from '@nanosync/core';
import { encodeMessage, PARTITION_TASK, PipelineError, positionOf, RECORD_VERSION, stateKeys, topicsOf } from '@nanosync/core';
import { FakeClock, ORDERS, openMemoryBus, openMemoryState, order, rowBatchOf } from '@nanosync/testkit';
import { describe, expect, it } from 'vitest';
import { runSnapshotWorker } from './worker.ts';

const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };
const L0 = positionOf(1n, 0n);
const TASK: PartitionTask = { pipeline: 'p', table: ORDERS.table, epoch: 'e1', partition: 0, partitions: 1, order: 1, range: 'all' };

function pipelineRecord(name: string): PipelineRecord {
  return {
    v: RECORD_VERSION,
    definition: {
      name,
      replicationType: 'cdc_backfill',
      source: { connection: { ...CONNECTION, name }, tables: [ORDERS.table] },
      sink: { connection: CONNECTION },
      snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
    },
    phase: 'snapshotting',
    anchor: { id: 'a', l0: L0, origin: {} },
    failure: null,
    waiting: null,
    request: null,
    createdMs: 0,
  };
}

const TABLE: TableRecord = {
  v: RECORD_VERSION,
  table: ORDERS.table,
  phase: 'snapshotting',
  anchor: 'a',
  epoch: 'e1',
  schema: ORDERS,
  storage: 's',
  l0: L0,
  l1Requested: false,
  partitions: 1,
  voids: 0,
  estimatedRows: 1,
  busPartitions: 1,
  failure: null,
};

const PARTITION: PartitionRecord = {
  v: RECORD_VERSION,
  partition: 0,
  range: 'all',
  phase: 'planned',
  emitted: true,
  attempt: null,
  attempts: 0,
  reader: null,
  rows: 0,
  bytes: 0,
  voided: null,
};

/** A worker's surroundings in memory; `read` stands for the source's read of a range, by pipeline. */
async function surroundings(read: (pipeline: string) => AsyncIterable<unknown>, wrap: (bus: Bus) => Bus = (bus) => bus) {
  const clock = new FakeClock();
  let ids = 0;
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` } });
  const state = openMemoryState({ clock });
  const ending = new AbortController();
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const ctx: ServiceContext = {
    state,
    bus: wrap(bus),
    registry,
    topics: topicsOf(),
    tasksBusPartitions: 1,
    changesBusPartitions: 1,
    keepMs: 0,
    log,
    clock,
    ids: { next: () => `i${++ids}` },
    openSource: async ({ name }) => ({ readRange: () => read(name), [Symbol.asyncDispose]: async () => {} }) as unknown as Source,
    openSink: () => Promise.reject(new Error('a worker opens no sink')),
    failpoint: () => {},
    signal: ending.signal,
  };
  const put = async (pipeline: string, partition: PartitionRecord = PARTITION) => {
    await bus.ensureTopic(ctx.topics.tasks, 1);
    await bus.ensureTopic(ctx.topics.rows(pipeline), 2);
    await state.put(stateKeys.pipeline(pipeline), pipelineRecord(pipeline), 0);
    await state.put(stateKeys.table(pipeline, ORDERS.table), TABLE, 0);
    await state.put(stateKeys.partition(pipeline, ORDERS.table, 'e1', 0), partition, 0);
  };
  const send = async (task: PartitionTask) => {
    const id = await registry.register('tasks', PARTITION_TASK.schema);
    await using producer = await bus.producer();
    await producer.send(ctx.topics.tasks, 0, [{ key: Buffer.alloc(0), value: encodeMessage(PARTITION_TASK, id, task) }]);
  };
  const partition = async (pipeline: string) =>
    (await state.get(stateKeys.partition(pipeline, ORDERS.table, 'e1', 0)))?.value as PartitionRecord;
  const until = async (done: () => Promise<boolean>) => {
    for (let turn = 0; turn < 2000; turn++) {
      if (await done()) return true;
      await clock.advance(clock.nextMs === undefined ? 1 : clock.nextMs - clock.nowMs());
    }
    return false;
  };
  return { ctx, clock, bus, put, send, partition, until, end: () => ending.abort() };
}

async function* rows() {
  const { batch } = rowBatchOf(ORDERS, [order(1)], { epoch: 'e1', partition: 0, attempt: 'x', batch: 0, codec: 'null' });
  yield { kind: 'block', block: { rows: 1, codec: 'null', block: batch.block } };
}

describe('a snapshot worker', () => {
  it('goes on for other pipelines while one cannot be read', async () => {
    const { ctx, put, send, partition, until, end } = await surroundings((pipeline) => {
      if (pipeline === 'bad') throw new PipelineError('prerequisite', 'The reader lacks a right.');
      return rows();
    });
    for (const pipeline of ['bad', 'p']) {
      await put(pipeline);
      await send({ ...TASK, pipeline });
    }
    const running = runSnapshotWorker(ctx, 2);
    expect(await until(async () => (await partition('p')).phase === 'read')).toBe(true);
    expect((await partition('bad')).phase).toBe('reading');
    end();
    await running;
  });

  it('does not read a range that is not the one of the ledger', async () => {
    const { ctx, put, send, partition, until, end } = await surroundings(rows);
    await put('p', { ...PARTITION, range: 'another' });
    await send(TASK);
    await put('q');
    await send({ ...TASK, pipeline: 'q' });
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('q')).phase === 'read')).toBe(true);
    expect((await partition('p')).phase).toBe('planned');
    end();
    await running;
  });

  it('leaves a durable partition alone when a repeated read finds the table rewritten', async () => {
    const { ctx, put, send, partition, until, end } = await surroundings(async function* () {
      const key = stateKeys.partition('p', ORDERS.table, 'e1', 0);
      const stored = await ctx.state.get(key);
      await ctx.state.put(key, { ...(stored?.value as PartitionRecord), phase: 'durable' }, stored?.version ?? 0);
      yield* [];
      throw new PipelineError('table-changed', 'The table was rewritten.');
    });
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('p')).phase === 'durable')).toBe(true);
    await until(async () => false);
    expect((await partition('p')).voided).toBeNull();
    end();
    await running;
  });

  it('does not read what another worker is reading, and takes it over once that one is not heard of any more', async () => {
    let reads = 0;
    const { ctx, put, send, partition, until, end } = await surroundings(() => {
      reads++;
      return rows();
    });
    const name = (pipeline: string) => `snapshot-worker/${stateKeys.partition(pipeline, ORDERS.table, 'e1', 0)}`;
    for (const pipeline of ['alive', 'dead']) {
      await put(pipeline, { ...PARTITION, phase: 'reading', attempt: 'other', attempts: 1 });
      await ctx.state.lease(name(pipeline), 'other', pipeline === 'alive' ? 3_600_000 : 10_000);
      await send({ ...TASK, pipeline });
    }
    const running = runSnapshotWorker(ctx, 2);
    expect(await until(async () => (await partition('dead')).phase === 'read')).toBe(true);
    expect(await partition('alive')).toMatchObject({ phase: 'reading', attempts: 1 });
    const key = stateKeys.partition('alive', ORDERS.table, 'e1', 0);
    await ctx.state.put(key, { ...(await partition('alive')), phase: 'read' }, (await ctx.state.get(key))?.version ?? 0);
    await put('next');
    await send({ ...TASK, pipeline: 'next' });
    expect(await until(async () => (await partition('next')).phase === 'read')).toBe(true);
    expect(reads).toBe(2);
    end();
    await running;
  });

  it('gives a read up when the bus does not even open a producer', async () => {
    let opened = 0;
    const hung = (bus: Bus): Bus =>
      new Proxy(bus, {
        get: (target, name) => {
          if (name === 'producer') return () => (++opened === 1 ? new Promise<Producer>(() => {}) : bus.producer());
          const value = Reflect.get(target, name, target) as unknown;
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    const { ctx, put, send, partition, until, end } = await surroundings(rows, hung);
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('p')).phase === 'read')).toBe(true);
    expect((await partition('p')).attempts).toBe(2);
    end();
    await running;
  });
});
