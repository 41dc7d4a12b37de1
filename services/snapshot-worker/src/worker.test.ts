import { randomBytes } from 'node:crypto';
import type {
  Bus,
  PartitionRecord,
  PartitionTask,
  PipelineRecord,
  Producer,
  RangeOptions,
  ServiceContext,
  Source,
  TableRecord,
} from '@nanosync/core';
import {
  afterCommand,
  decodeMessage,
  END_MARKER,
  encodeMessage,
  PARTITION_TASK,
  PipelineError,
  positionOf,
  QUARANTINED,
  RECORD_VERSION,
  ROW_BATCH,
  RUNNING,
  schemaIdOf,
  stateKeys,
  topicsOf,
  updateRecord,
} from '@nanosync/core';
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
    intent: RUNNING,
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
  older: null,
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
async function surroundings(
  read: (pipeline: string, targetBytes: number, view: string | undefined) => AsyncIterable<unknown>,
  wrap: (bus: Bus) => Bus = (bus) => bus,
  limits = {},
) {
  const clock = new FakeClock();
  let ids = 0;
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` }, ...limits });
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
    openSource: async ({ name }) =>
      ({
        readRange: (_table: unknown, _range: string, { targetBytes, view }: RangeOptions) => read(name, targetBytes, view),
        [Symbol.asyncDispose]: async () => {},
      }) as unknown as Source,
    openSink: () => Promise.reject(new Error('a worker opens no sink')),
    failpoint: () => {},
    signal: ending.signal,
  };
  const put = async (pipeline: string, partition: PartitionRecord = PARTITION) => {
    await bus.ensureTopic(ctx.topics.tasks, 1);
    await bus.ensureTopic(ctx.topics.rows(pipeline), 2);
    await bus.ensureTopic(ctx.topics.quarantine(pipeline), 1);
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
    // Blocks are compressed by threads, which know nothing of the test's clock.
    for (const end = performance.now() + 15_000; performance.now() < end; ) {
      if (await done()) return true;
      await clock.advance(clock.nextMs === undefined ? 1 : clock.nextMs - clock.nowMs());
    }
    return false;
  };
  const pause = async (pipeline: string) => {
    await updateRecord<PipelineRecord>(state, stateKeys.pipeline(pipeline), (record) =>
      afterCommand(record, { kind: 'pause', part: 'pipeline' }),
    );
  };
  return { ctx, clock, bus, put, send, partition, until, pause, end: () => ending.abort() };
}

/** A bus whose producers come from elsewhere. */
function withProducer(open: (bus: Bus) => Promise<Producer>): (bus: Bus) => Bus {
  return (bus) =>
    new Proxy(bus, {
      get: (target, name) => {
        if (name === 'producer') return () => open(bus);
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
}

let letGo = () => {};

/** A read of which nothing comes until `letGo`. */
async function* hanging() {
  await new Promise<void>((resolve) => {
    letGo = resolve;
  });
  yield* rows();
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

  it('gives tasks back while the pipeline is paused, reads nothing, and reads for others', async () => {
    let reads = 0;
    const { ctx, put, send, partition, until, pause, end } = await surroundings((pipeline) => {
      if (pipeline === 'p') reads++;
      return rows();
    });
    await put('p');
    await pause('p');
    await send(TASK);
    await put('q');
    await send({ ...TASK, pipeline: 'q' });
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('q')).phase === 'read')).toBe(true);
    expect(await partition('p')).toMatchObject({ phase: 'planned', emitted: false, attempts: 0 });
    expect(reads).toBe(0);
    end();
    await running;
  });

  it('ends in the middle of a range when its pipeline is paused, without an end marker, and gives the task back', async () => {
    const { ctx, clock, bus, put, send, partition, until, pause, end } = await surroundings(hanging);
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('p')).phase === 'reading')).toBe(true);
    await pause('p');
    await clock.advance(1000);
    letGo();
    expect(await until(async () => !(await partition('p')).emitted)).toBe(true);
    expect(await partition('p')).toMatchObject({ phase: 'reading', emitted: false });
    await using reader = await bus.reader(ctx.topics.rows('p'), 0, 0);
    const sent = await reader.read({ maxBytes: 1_000_000, waitMs: 0 });
    const endId = await ctx.registry.register('nanosync.rows-EndMarker', END_MARKER.schema);
    expect(sent.filter(({ value }) => schemaIdOf(value) === endId)).toEqual([]);
    end();
    await running;
  });

  it('ends in the middle of a range when the copy of its table is stopped, and reads no other that is left out', async () => {
    const { ctx, clock, bus, put, send, partition, until, end } = await surroundings(hanging);
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('p')).phase === 'reading')).toBe(true);
    await updateRecord<PipelineRecord>(ctx.state, stateKeys.pipeline('p'), (record) => ({
      ...record,
      definition: { ...record.definition, replicationType: 'cdc' },
    }));
    await updateRecord<TableRecord>(ctx.state, stateKeys.table('p', ORDERS.table), (record) => ({ ...record, missing: [[0, 0]] }));
    await clock.advance(1000);
    letGo();
    expect(await until(async () => !(await partition('p')).emitted)).toBe(true);
    await send(TASK);
    await clock.advance(5000);
    expect(await partition('p')).toMatchObject({ phase: 'reading', attempts: 1 });
    await using reader = await bus.reader(ctx.topics.rows('p'), 0, 0);
    const endId = await ctx.registry.register('nanosync.rows-EndMarker', END_MARKER.schema);
    const sent = await reader.read({ maxBytes: 1_000_000, waitMs: 0 });
    expect(sent.filter(({ value }) => schemaIdOf(value) === endId)).toEqual([]);
    end();
    await running;
  });

  it('does not read for an epoch that was given up', async () => {
    let reads = 0;
    const { ctx, put, send, partition, until, end } = await surroundings(() => {
      reads++;
      return rows();
    });
    await put('p');
    const key = stateKeys.table('p', ORDERS.table);
    await ctx.state.put(key, { ...TABLE, epoch: 'e2' }, (await ctx.state.get(key))?.version ?? 0);
    await send(TASK);
    await put('q');
    await send({ ...TASK, pipeline: 'q' });
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('q')).phase === 'read')).toBe(true);
    expect((await partition('p')).phase).toBe('planned');
    expect(reads).toBe(1);
    end();
    await running;
  });

  it('reads in the view that the ranges of the table were planned in', async () => {
    const views: (string | undefined)[] = [];
    const { ctx, put, send, partition, until, end } = await surroundings((_pipeline, _bytes, view) => {
      views.push(view);
      return rows();
    });
    await put('p');
    const key = stateKeys.table('p', ORDERS.table);
    await ctx.state.put(key, { ...TABLE, view: 'view 1' }, (await ctx.state.get(key))?.version ?? 0);
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('p')).phase === 'read')).toBe(true);
    expect(views).toEqual(['view 1']);
    end();
    await running;
  });

  it('reads no further than a few batches ahead of the bus', async () => {
    let yielded = 0;
    const slow = withProducer(async () => ({ send: () => new Promise(() => {}), [Symbol.asyncDispose]: async () => {} }));
    const { ctx, put, send, clock, end } = await surroundings(async function* () {
      for (; yielded < 50; yielded++) yield* rows();
    }, slow);
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    await clock.advance(20_000);
    expect(yielded).toBeGreaterThan(0);
    expect(yielded).toBeLessThan(4);
    end();
    await clock.advance(60_000);
    await running;
  });

  it('ends a partition only when all of its batches are on the bus', async () => {
    let sends = 0;
    const firstHangs = withProducer(async (bus) => {
      const producer = await bus.producer();
      const send: Producer['send'] = (...args) => (++sends === 1 ? new Promise(() => {}) : producer.send(...args));
      return { send, [Symbol.asyncDispose]: async () => {} };
    });
    const { ctx, bus, put, send, partition, until, end } = await surroundings(rows, firstHangs);
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('p')).phase === 'read')).toBe(true);
    end();
    await running;
    const values = await (await bus.reader(ctx.topics.rows('p'), 0, 0)).read({ maxBytes: 1e9, waitMs: 0 });
    const endId = await ctx.registry.register('nanosync.rows-EndMarker', END_MARKER.schema);
    expect(values.map(({ value }) => (schemaIdOf(value) === endId ? 'end' : 'batch'))).toEqual(['batch', 'end']);
    expect((await partition('p')).attempts).toBe(2);
  });

  it('says in the ledger that a table was rewritten, and ends nothing', async () => {
    const { ctx, bus, put, send, partition, until, end } = await surroundings(async function* () {
      yield* rows();
      throw new PipelineError('table-changed', 'The table was rewritten.');
    });
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('p')).voided !== null)).toBe(true);
    end();
    await running;
    expect(await partition('p')).toMatchObject({ phase: 'reading', voided: 'The table was rewritten.' });
    const endId = await ctx.registry.register('nanosync.rows-EndMarker', END_MARKER.schema);
    const values = await (await bus.reader(ctx.topics.rows('p'), 0, 0)).read({ maxBytes: 1e9, waitMs: 0 });
    expect(values.filter(({ value }) => schemaIdOf(value) === endId)).toEqual([]);
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

  it('quarantines a row that the bus does not take, with the reason and its beginning, and reads the rest', async () => {
    const limit = 20_000;
    const block = (id: number, body: string) => {
      const names = { epoch: 'e1', partition: 0, attempt: 'x', batch: 0 };
      const { batch } = rowBatchOf(ORDERS, [order(id, 'n', body)], names);
      return { kind: 'block', block: { rows: 1, codec: 'zstandard', block: batch.block } };
    };
    const targets: number[] = [];
    const { ctx, bus, put, send, partition, until, end } = await surroundings(
      async function* (_, targetBytes) {
        targets.push(targetBytes);
        yield block(1, 'small');
        yield block(2, randomBytes(80_000).toString('hex'));
        yield block(3, 'x'.repeat(100_000)); // Large for PostgreSQL, small when compressed.
      },
      undefined,
      { maxMessageBytes: limit },
    );
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('p')).phase === 'read')).toBe(true);
    end();
    await running;
    expect(targets.every((bytes) => bytes < limit)).toBe(true);
    const reader = await bus.reader(ctx.topics.rows('p'), 0, 0);
    const values = (await reader.read({ maxBytes: 1e9, waitMs: 0 })).map(({ value }) => value);
    expect(values.slice(0, -1).map((value) => decodeMessage(ROW_BATCH, value).batch)).toEqual([0, 1]);
    expect(decodeMessage(END_MARKER, values.at(-1) as Uint8Array)).toMatchObject({ batches: 2, rows: 2, quarantined: 1 });
    const [row] = await (await bus.reader(ctx.topics.quarantine('p'), 0, 0)).read({ maxBytes: 1e9, waitMs: 0 });
    const quarantined = decodeMessage(QUARANTINED, row?.value as Uint8Array);
    expect(quarantined.reason).toMatch(/^The row is larger than the 20000 bytes that the bus takes/);
    expect(quarantined.payload.length).toBeGreaterThan(10_000);
    expect(row?.value.length).toBeLessThanOrEqual(limit);
  });

  it('quarantines a row that the source cannot encode, counts it, and reads the rest', async () => {
    const { ctx, bus, put, send, partition, until, end } = await surroundings(async function* () {
      yield { kind: 'rejected', row: { reason: 'the date is out of range', payload: Buffer.from('raw') } };
      yield* rows();
    });
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 1);
    expect(await until(async () => (await partition('p')).phase === 'read')).toBe(true);
    end();
    await running;
    const values = (await (await bus.reader(ctx.topics.rows('p'), 0, 0)).read({ maxBytes: 1e9, waitMs: 0 })).map(({ value }) => value);
    expect(decodeMessage(END_MARKER, values.at(-1) as Uint8Array)).toMatchObject({ batches: 1, rows: 1, quarantined: 1 });
    const [row] = await (await bus.reader(ctx.topics.quarantine('p'), 0, 0)).read({ maxBytes: 1e9, waitMs: 0 });
    const { reason, payload } = decodeMessage(QUARANTINED, row?.value as Uint8Array);
    expect([reason, Buffer.from(payload).toString()]).toEqual(['the date is out of range', 'raw']);
  });

  it('leaves a partition to another worker when its own read hangs', async () => {
    let reads = 0;
    const { ctx, put, send, partition, until, end } = await surroundings(() => (++reads === 1 ? hanging() : rows()));
    await put('p');
    await send(TASK);
    const running = runSnapshotWorker(ctx, 2);
    expect(await until(async () => reads === 1)).toBe(true);
    await send(TASK); // The planner's reminder.
    expect(await until(async () => (await partition('p')).phase === 'read')).toBe(true);
    expect((await partition('p')).attempts).toBe(2);
    end();
    letGo();
    await running;
  });

  it('gives a read up when the bus does not even open a producer', async () => {
    let opened = 0;
    const hung = withProducer((bus) => (++opened === 1 ? new Promise<Producer>(() => {}) : bus.producer()));
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
