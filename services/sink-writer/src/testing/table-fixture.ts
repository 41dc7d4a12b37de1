import type {
  Bus,
  CaptureRecord,
  ControlKind,
  PipelineRecord,
  Position,
  Row,
  ServiceContext,
  SinkChange,
  SinkReport,
  TableRecord,
} from '@nanosync/core';
import {
  ChangeCodec,
  CONTROL_EVENT,
  END_MARKER,
  encodeMessage,
  PipelineError,
  positionOf,
  RECORD_VERSION,
  ROW_BATCH,
  ROWS_BUS_PARTITIONS,
  RUNNING,
  rowBlockSchemaJson,
  stateKeys,
  topicsOf,
  wireHeader,
} from '@nanosync/core';
import { at, endOf, FakeClock, memoryWarehouse, ORDERS, openMemoryBus, openMemoryState, rowBatchOf } from '@nanosync/testkit';
import { TableReport } from '../table-report.ts';
import { runTableWriter } from '../table-writer.ts';

export const L0 = positionOf(100n, 0n);
const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };

export const PIPELINE: PipelineRecord = {
  v: RECORD_VERSION,
  definition: {
    name: 'p',
    replicationType: 'cdc_backfill',
    source: { connection: CONNECTION, tables: [ORDERS.table] },
    sink: { connection: CONNECTION },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  },
  ...{
    phase: 'snapshotting',
    anchor: { id: 'a', l0: L0, origin: {} },
    failure: null,
    waiting: null,
    request: null,
    intent: RUNNING,
    createdMs: 0,
  },
};

export const TABLE: TableRecord = {
  ...{ v: RECORD_VERSION, table: ORDERS.table, phase: 'snapshotting', anchor: 'a', epoch: 'e1', schema: ORDERS, storage: 's', l0: L0 },
  ...{ l1Requested: false, partitions: 1, voids: 0, estimatedRows: 1, busPartitions: 1, older: null, failure: null },
};

/** A sink-writer's surroundings in memory: one table, its change topic with one bus partition, and a warehouse. */
export async function tableFixture() {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const nextId = { next: () => `i${++ids}` };
  const { bus, registry } = await openMemoryBus({ clock, ids: nextId });
  const warehouse = memoryWarehouse();
  const sink = warehouse.open();
  const topics = topicsOf();
  const topic = topics.changes('p', ORDERS.table);
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  let refused = 0;
  const shaky = new Proxy(bus, {
    get: (target, name) => {
      if (name === 'producer' && refused > 0)
        return async () => {
          refused--;
          throw new PipelineError('unavailable', 'The bus is away.');
        };
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  }) as Bus;
  const ctx = (signal: AbortSignal) =>
    ({
      ...{
        state,
        bus: shaky,
        registry,
        topics,
        clock,
        log,
        ids: nextId,
        keepMs: 3_600_000,
        tasksBusPartitions: 1,
        changesBusPartitions: 1,
      },
      ...{ openSink: async () => warehouse.open(), failpoint: () => {}, signal },
    }) as unknown as ServiceContext;
  const put = async (key: string, value: unknown) => {
    await state.put(key, value, (await state.get(key))?.version ?? 0);
  };
  const send = async (name: string, value: Uint8Array, key: Uint8Array = Buffer.alloc(0)) => {
    await using producer = await bus.producer();
    await producer.send(name, 0, [{ key, value }]);
  };
  await bus.ensureTopic(topic, 1);
  await bus.ensureTopic(topics.quarantine('p'), 1);
  await bus.ensureTopic(topics.rows('p'), ROWS_BUS_PARTITIONS);
  await put(stateKeys.pipeline('p'), PIPELINE);
  await put(stateKeys.table('p', ORDERS.table), TABLE);
  await sink.claimRows('p', 'loader', 'rows', 1);
  let staged = 0;
  return {
    ...{ ctx, bus, clock, sink, topic, put, topics },
    seen: () => warehouse.read(ORDERS.table),
    /** The next producers that the sink-writer asks for are refused. */
    refuseProducers: (count: number) => {
      refused = count;
    },
    /** Capture says that it met the L1 of this epoch. */
    consistent: async (epoch: string, l1: Position) => {
      const captured = { [ORDERS.table]: { epoch, l0: L0, l1 } };
      await put(stateKeys.capture('p'), { anchor: 'a', tables: captured } as unknown as CaptureRecord);
    },
    /** A complete partition of the table's copy. */
    stage: async (epoch: string, partition: number, rows: readonly Row[]) => {
      const name = { epoch, partition, attempt: `attempt at ${partition}` };
      await sink.stage({
        ...{ pipeline: 'p', owner: 'loader', moves: [{ busPartition: 0, from: staged, to: staged + 1 }] },
        batches: [rowBatchOf(ORDERS, rows, { ...name, batch: 0 })],
        ends: [endOf(ORDERS, { ...name, batches: 1, rows: rows.length })],
      });
      staged++;
    },
    control: async (kind: ControlKind, epoch: string, position: Position, anchor = 'a', detail = '') => {
      const id = await registry.register('nanosync.control-value', CONTROL_EVENT.schema);
      const event = { kind, table: ORDERS.table, anchor, epoch, position, session: 1, tsMs: 0, detail };
      await send(topic, encodeMessage(CONTROL_EVENT, id, event));
      if (kind !== 'generation') return;
      const captured = { [ORDERS.table]: { epoch, l0: position, l1: null } };
      await put(stateKeys.capture('p'), { anchor, tables: captured } as unknown as CaptureRecord);
    },
    change: async ({ event, key }: SinkChange) => {
      const codec = new ChangeCodec(ORDERS);
      const header = wireHeader(await registry.register(`${topic}-value`, codec.avro));
      await send(topic, codec.encode(event, header, { db: 'd' }), key);
    },
    /** One attempt at a partition, on the rows topic. */
    publishRows: async (partition: number, rows: readonly Row[]) => {
      const name = { epoch: 'e1', partition, attempt: 'x' };
      const rowSchemaId = await registry.register('rows', rowBlockSchemaJson(ORDERS));
      const batchId = await registry.register('nanosync.rows-RowBatch', ROW_BATCH.schema);
      const { batch } = rowBatchOf(ORDERS, rows, { ...name, batch: 0, codec: 'null' });
      await send(topics.rows('p'), encodeMessage(ROW_BATCH, batchId, { ...batch, rowSchemaId }));
      const endId = await registry.register('nanosync.rows-EndMarker', END_MARKER.schema);
      await send(topics.rows('p'), encodeMessage(END_MARKER, endId, endOf(ORDERS, { ...name, batches: 1, rows: rows.length })));
    },
    stored: async <T>(key: string) => (await state.get(key))?.value as T | undefined,
    report: async () => (await state.get(stateKeys.sinkReport('p', ORDERS.table)))?.value as SinkReport | undefined,
    quarantined: async () => (await bus.topic(topics.quarantine('p')))?.partitions[0]?.end,
    /** Starts a table's writer; `outcome` says how it ended. */
    write: (settings: Partial<Pick<ServiceContext, 'keepMs'>> = {}, pipeline = PIPELINE) => {
      const ending = new AbortController();
      const own = { ...ctx(ending.signal), ...settings };
      let outcome: { readonly error?: unknown } | undefined;
      const report = new TableReport(own, 'p', ORDERS.table);
      const running = runTableWriter({ ctx: own, pipeline, sink, table: ORDERS.table, report, wanted: () => true }).then(
        () => {
          outcome = {};
        },
        (error: unknown) => {
          outcome = { error };
        },
      );
      return {
        outcome: () => outcome,
        end: async () => {
          ending.abort();
          await clock.advance(10_000);
          await running;
        },
      };
    },
    /** Lets time pass until this holds, or for a long while. */
    until: async (done: () => boolean | Promise<boolean>) => {
      for (let turn = 0; turn < 100; turn++) {
        if (await done()) return true;
        await clock.advance(100);
      }
      return false;
    },
  };
}

/** A position above {@link L0}. */
export const later = (commit: number) => at(100 + commit);
