import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { openEmbeddedBus } from '@nanosync/bus';
import { openKafkaBus, openSchemaRegistry } from '@nanosync/bus/kafka';
import type {
  Bus,
  ChangeEvent,
  Clock,
  Log,
  OutMessage,
  PipelineRecord,
  Registry,
  Row,
  TableRecord,
  TableSchema,
  Topics,
} from '@nanosync/core';
import {
  AvroWriter,
  busPartitionOf,
  ChangeCodec,
  CONTROL_EVENT,
  END_MARKER,
  encodeMessage,
  PARTITION_TASK,
  positionOf,
  QUARANTINED,
  RECORD_VERSION,
  ROW_BATCH,
  RUNNING,
  rowBlockSchemaJson,
  rowOrigin,
  stateKeys,
  tableIdOf,
  topicsOf,
  wireHeader,
  writeCell,
} from '@nanosync/core';
import { randomIds, systemClock } from '@nanosync/runtime';
import { clusterStack, type FakeClock, memoryBusStore, openMemoryBus } from '@nanosync/testkit';
import type { MemoryState, TestCli } from './fakes.ts';

type Opened = { readonly bus: Bus; readonly registry: Registry };

/** A bus to fill, and the same opened again to look at; what is written has the writer's times. */
export interface TapStore extends AsyncDisposable {
  readonly topics: Topics;
  readonly write: (clock: Clock) => Promise<Opened>;
  readonly read: () => Promise<Opened>;
  /** Options that lead a command here. */
  readonly place: (cli: TestCli) => readonly string[];
  readonly state: (cli: TestCli) => MemoryState;
}

const embeddedPlace: Pick<TapStore, 'topics' | 'place' | 'state'> = {
  topics: topicsOf(),
  place: (cli) => ['--data-dir', cli.dataDir],
  state: (cli) => cli.state(),
};

/** The bus in memory. */
export async function memoryTapStore(): Promise<TapStore> {
  const store = memoryBusStore();
  const open = (clock: Clock) => openMemoryBus({ clock, ids: randomIds(), store });
  return { ...embeddedPlace, write: open, read: () => open(systemClock()), [Symbol.asyncDispose]: async () => {} };
}

/** The bus on disk. */
export async function embeddedTapStore(): Promise<TapStore> {
  const directory = mkdtempSync(join(tmpdir(), 'nanosync-tap-'));
  return {
    ...embeddedPlace,
    write: (clock) => openEmbeddedBus({ directory, clock }),
    read: () => openEmbeddedBus({ directory, clock: systemClock() }),
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }),
  };
}

/** Topics of our own on the Kafka that all tests share. */
export async function kafkaTapStore(): Promise<TapStore> {
  const { kafka, registry } = await clusterStack('kafka', 'registry');
  const prefix = `tap-${randomUUID().slice(0, 8)}`;
  const server = `bus:
  kafka: { brokers: ${JSON.stringify(kafka.brokers)}, topic_prefix: ${prefix}, replication_factor: 1 }
  registry: { url: "${registry.url}" }
state:
  redis: { url: "redis://127.0.0.1:1" }
api: { listen: "127.0.0.1:0" }
`;
  const open = async (clock: Clock): Promise<Opened> => ({
    bus: await openKafkaBus({ brokers: kafka.brokers, clientId: 'tap', log: silentLog, clock }),
    registry: openSchemaRegistry({ url: registry.url }),
  });
  return {
    topics: topicsOf(prefix),
    // The clock of a test stands still, and a client of Kafka waits now and then.
    write: (clock) => open({ ...systemClock(), nowMs: () => clock.nowMs() }),
    read: () => open(systemClock()),
    place: (cli) => ['--config', cli.file('server.yaml', server)],
    state: (cli) => cli.clusterState(),
    [Symbol.asyncDispose]: async () => {},
  };
}

const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, with: () => silentLog };

/** One key column, text and a decimal. */
export const ORDERS: TableSchema = {
  table: tableIdOf('public', 'orders'),
  columns: [
    { name: 'id', type: { kind: 'int64' } },
    { name: 'total', type: { kind: 'decimal', precision: 10, scale: 2 } },
    { name: 'note', type: { kind: 'text' } },
  ],
  key: ['id'],
};
/** A key of two columns, one of them text. */
export const LINES: TableSchema = {
  table: tableIdOf('public', 'order_lines'),
  columns: [
    { name: 'order_id', type: { kind: 'int32' } },
    { name: 'code', type: { kind: 'text' } },
    { name: 'sold', type: { kind: 'timestamp', zoned: true } },
  ],
  key: ['order_id', 'code'],
};

export const BUS_PARTITIONS = 2;
const EPOCH = 'e0e0e0e0e0e0e0e0';

/** Publishes as the services do, at the times that the clock shows. */
export class TapPublisher {
  readonly clock: FakeClock;
  readonly #opened: Opened;
  readonly #topics: Topics;

  constructor(opened: Opened, topics: Topics, clock: FakeClock) {
    this.#opened = opened;
    this.#topics = topics;
    this.clock = clock;
  }

  async topics(): Promise<void> {
    const { bus } = this.#opened;
    await bus.ensureTopic(this.#topics.tasks, 2);
    await bus.ensureTopic(this.#topics.rows('shop'), 2);
    await bus.ensureTopic(this.#topics.quarantine('shop'), 1);
    for (const { table } of [ORDERS, LINES]) await bus.ensureTopic(this.#topics.changes('shop', table), BUS_PARTITIONS);
  }

  async task(pipeline: string, schema: TableSchema): Promise<void> {
    const id = await this.#opened.registry.register(`${this.#topics.tasks}-value`, PARTITION_TASK.schema);
    const task = { pipeline, table: schema.table, epoch: EPOCH, partition: 3, partitions: 5, order: 1, range: '1:9' };
    await this.#send(this.#topics.tasks, 1, [{ key: Buffer.from(`${pipeline}/3`), value: encodeMessage(PARTITION_TASK, id, task) }]);
  }

  async rows(schema: TableSchema, rows: readonly Row[]): Promise<void> {
    const { registry } = this.#opened;
    const rowSchemaId = await registry.register(`${this.#topics.rows('shop')}-${schema.table}`, rowBlockSchemaJson(schema));
    const writer = new AvroWriter();
    const name = { table: schema.table, epoch: EPOCH, partition: 3, attempt: 'a1a1a1a1a1a1a1a1' };
    for (const row of rows) {
      writer.raw(rowOrigin(name.partition, name.attempt));
      for (const [at, column] of schema.columns.entries()) writeCell(writer, column.type, row[at] ?? null);
    }
    const batch = { ...name, batch: 0, rows: rows.length, codec: 'zstandard', rowSchemaId, block: zstdCompressSync(writer.copy()) };
    const batchId = await registry.register(`${this.#topics.rows('shop')}-batch`, ROW_BATCH.schema);
    const endId = await registry.register(`${this.#topics.rows('shop')}-end`, END_MARKER.schema);
    const end = { ...name, batches: 1, rows: rows.length, quarantined: 0 };
    await this.#send(this.#topics.rows('shop'), 1, [
      { key: Buffer.from('3'), value: encodeMessage(ROW_BATCH, batchId, batch) },
      { key: Buffer.from('3'), value: encodeMessage(END_MARKER, endId, end) },
    ]);
  }

  async change(schema: TableSchema, lsn: bigint, change: Partial<ChangeEvent>): Promise<void> {
    const codec = new ChangeCodec(schema);
    const id = await this.#opened.registry.register(`${this.#topics.changes('shop', schema.table)}-value`, codec.avro);
    const event: ChangeEvent = {
      ...{ table: schema.table, op: 'u', before: null, after: null, rowless: false, position: positionOf(lsn, 5n) },
      ...{ epoch: EPOCH, session: 1, txId: 77, commitMs: 1_700_000_000_000, ...change },
    };
    const row = event.after ?? event.before;
    const key = row === null ? Buffer.alloc(0) : codec.key(row);
    const value = codec.encode(event, wireHeader(id), { db: 'shopdb' });
    const partitions = row === null ? [0, 1] : [busPartitionOf(key, BUS_PARTITIONS)];
    for (const partition of partitions) await this.#send(this.#topics.changes('shop', schema.table), partition, [{ key, value }]);
  }

  async watermark(schema: TableSchema, lsn: bigint): Promise<void> {
    const id = await this.#opened.registry.register(`${this.#topics.tasks}-control`, CONTROL_EVENT.schema);
    const about = { kind: 'watermark', table: schema.table, anchor: 'aaaaaaaaaaaaaaaa', epoch: EPOCH, detail: '' };
    const value = encodeMessage(CONTROL_EVENT, id, { ...about, position: positionOf(lsn, 0n), session: 1, tsMs: 0 });
    for (const partition of [0, 1])
      await this.#send(this.#topics.changes('shop', schema.table), partition, [{ key: Buffer.alloc(0), value }]);
  }

  async quarantined(schema: TableSchema, key: Uint8Array): Promise<void> {
    const id = await this.#opened.registry.register(`${this.#topics.quarantine('shop')}-value`, QUARANTINED.schema);
    const about = { table: schema.table, epoch: EPOCH, origin: 'partition 3', reason: 'out of range', payload: Buffer.from([1, 255]) };
    await this.#send(this.#topics.quarantine('shop'), 0, [{ key, value: encodeMessage(QUARANTINED, id, about) }]);
  }

  /** A message that no schema of the registry is for. */
  async foreign(): Promise<void> {
    await this.#send(this.#topics.quarantine('shop'), 0, [{ key: Buffer.alloc(0), value: Buffer.from([0, 0, 0, 9, 9, 1]) }]);
  }

  async trim(topic: string, partition: number, before: number): Promise<void> {
    await this.#opened.bus.trim(topic, partition, before);
  }

  async #send(topic: string, partition: number, messages: readonly OutMessage[]): Promise<void> {
    await using producer = await this.#opened.bus.producer();
    await producer.send(topic, partition, messages);
    await this.clock.advance(1000);
  }
}

/** Stores the pipeline `shop` with its two tables, as the planner does. */
export async function storeShop(state: MemoryState): Promise<void> {
  const connection = (name: string) => ({ name, type: 'postgres', dsn: null, properties: {} });
  const definition = {
    name: 'shop',
    replicationType: 'cdc_backfill' as const,
    source: { connection: connection('source'), tables: [ORDERS.table, LINES.table] },
    sink: { connection: connection('sink') },
    snapshot: { concurrency: 4, targetRowsPerPartition: 100_000, maxRowsPerSecond: null },
  };
  const pipeline: PipelineRecord = {
    ...{
      v: RECORD_VERSION,
      definition,
      phase: 'streaming',
      anchor: null,
      failure: null,
      waiting: null,
      request: null,
      intent: RUNNING,
      createdMs: 0,
    },
  };
  await state.put(stateKeys.pipeline('shop'), pipeline, 0);
  for (const schema of [ORDERS, LINES]) {
    const record: TableRecord = {
      ...{
        v: RECORD_VERSION,
        table: schema.table,
        phase: 'following',
        anchor: '',
        epoch: EPOCH,
        schema,
        storage: '',
        l0: null,
        l1Requested: true,
      },
      ...{ partitions: 5, voids: 0, estimatedRows: 0, busPartitions: BUS_PARTITIONS, older: null, failure: null },
    };
    await state.put(stateKeys.table('shop', schema.table), record, 0);
  }
}
