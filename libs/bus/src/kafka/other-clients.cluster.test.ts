import { randomBytes } from 'node:crypto';
import {
  ChangeCodec,
  encodeMessage,
  PARTITION_TASK,
  positionOf,
  type RecordCodec,
  ROW_BATCH,
  rowBlockSchemaJson,
  topicsOf,
  UNCHANGED,
  wireHeader,
} from '@nanosync/core';
import { at, clusterStack, consumeWithPython, ORDERS, order, rowBatchOf } from '@nanosync/testkit';
import { expect, test, vi } from 'vitest';
import { openSchemaRegistry } from './schema-registry.ts';
import { openTestBus } from './testing/test-bus.ts';

/** The first run downloads the other language's packages. */
vi.setConfig({ testTimeout: 180_000 });

test('a consumer in Python decodes tasks, row batches and change events by the registry alone', async () => {
  const { kafka, registry: address } = await clusterStack('kafka', 'registry');
  await using bus = await openTestBus({ brokers: kafka.brokers });
  const registry = openSchemaRegistry(address);
  const topics = topicsOf(`python${randomBytes(4).toString('hex')}`);
  const names = { tasks: topics.tasks, rows: topics.rows('p'), changes: topics.changes('p', ORDERS.table) };
  for (const name of Object.values(names)) await bus.ensureTopic(name, 2);
  await using producer = await bus.producer();
  const send = (topic: string, ...values: readonly Buffer[]) =>
    producer.send(
      topic,
      1,
      values.map((value) => ({ key: Buffer.from('k'), value })),
    );
  const register = <F>(codec: F & Pick<RecordCodec<never>, 'schema'>, topic: string) => registry.register(`${topic}-value`, codec.schema);

  const task = { pipeline: 'p', table: ORDERS.table, epoch: 'e1', partition: 3, partitions: 7, order: 4, range: '0:12' };
  await send(names.tasks, encodeMessage(PARTITION_TASK, await register(PARTITION_TASK, names.tasks), task));

  const blockSchema = rowBlockSchemaJson(ORDERS);
  const rowSchemaId = await registry.register(`${names.rows}-${ORDERS.table}`, blockSchema);
  const { batch } = rowBatchOf(ORDERS, [order(1), order(2)], { epoch: 'e1', partition: 3, attempt: 'a1', batch: 0, codec: 'null' });
  await send(names.rows, encodeMessage(ROW_BATCH, await register(ROW_BATCH, names.rows), { ...batch, rowSchemaId }));

  const codec = new ChangeCodec(ORDERS);
  const header = wireHeader(await registry.register(`${names.changes}-value`, codec.avro));
  const common = { table: ORDERS.table, epoch: 'e1', session: 2, txId: 77, commitMs: 1_700_000_000_000, rowless: false };
  const update = { ...common, op: 'u', before: null, after: order(5, 'name 5', UNCHANGED), position: at(11, 2) } as const;
  const inserted = { ...common, op: 'c', before: null, after: order(5), position: at(11, 1) } as const;
  await send(names.changes, codec.encode(inserted, header, { db: 'shop' }), codec.encode(update, header, { db: 'shop' }));

  const messages = await consumeWithPython(kafka.brokers, address.url, Object.values(names));
  expect(messages.map(({ topic, partition, offset }) => [topic, partition, offset])).toEqual([
    [names.tasks, 1, 0],
    [names.rows, 1, 0],
    [names.changes, 1, 0],
    [names.changes, 1, 1],
  ]);
  const [readTask, readBatch, first, second] = messages.map(({ value }) => value);
  expect(readTask).toEqual(task);
  expect(readBatch).toEqual({ ...batch, rowSchemaId, block: `base64:${Buffer.from(batch.block).toString('base64')}` });
  const after = { id: 5, name: 'name 5', amount: '5.00', body: 'a body that is longer than twelve bytes, of 5', paid: false };
  expect(first).toMatchObject({ op: 'c', before: null, after, source: { db: 'shop', schema: 'public', table: 'orders', txId: 77 } });
  expect(first).toMatchObject({ position: positionOf(11n, 1n), epoch: 'e1', session: 2, unchanged: [], rowless: false });
  expect(second).toMatchObject({ op: 'u', after: { ...after, body: null }, unchanged: ['body'] });
  expect(JSON.parse(await registry.schema(rowSchemaId))).toEqual(JSON.parse(blockSchema));
});
