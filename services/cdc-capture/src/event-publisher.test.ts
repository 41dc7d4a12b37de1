import { randomBytes } from 'node:crypto';
import type { LogFields, PipelineRecord, ServiceContext, SourceEvent, TableRecord } from '@nanosync/core';
import { ChangeCodec, CONTROL_EVENT, decodeMessage, positionOf, QUARANTINED, schemaIdOf, topicsOf } from '@nanosync/core';
import { at, FakeClock, ORDERS, openMemoryBus, order } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { freshRecord } from './capture-record.ts';
import { EventPublisher } from './event-publisher.ts';
import { SessionProgress } from './session-progress.ts';

const LIMIT = 20_000;
const ANCHOR = { id: 'a1', l0: positionOf(10n, 0n), origin: {} };
const rest = { before: null, rowless: false, keyChange: false, completed: false, txId: 1, commitMs: 1 } as const;

function insert(commit: number, id: number, body: string): SourceEvent & { readonly kind: 'change' } {
  return { kind: 'change', table: ORDERS.table, op: 'c', after: order(id, 'n', body), position: at(commit), ...rest };
}

/** A publisher of one table with so many bus partitions, and what it has published, by bus partition. */
async function publishing({ busPartitions = 1 } = {}) {
  let ids = 0;
  const clock = new FakeClock();
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` }, maxMessageBytes: LIMIT });
  const warnings: (LogFields | undefined)[] = [];
  const line = () => {};
  const log = { debug: line, info: line, warn: (_: string, fields?: LogFields) => warnings.push(fields), error: line, with: () => log };
  const ctx = { bus, registry, clock, log, topics: topicsOf() } as unknown as ServiceContext;
  const topic = ctx.topics.changes('p', ORDERS.table);
  await bus.ensureTopic(topic, busPartitions);
  await bus.ensureTopic(ctx.topics.quarantine('p'), 1);
  const record = freshRecord(ANCHOR, 1);
  const tables = [{ table: ORDERS.table, schema: ORDERS, busPartitions, older: null }] as unknown as readonly TableRecord[];
  const pipeline = { definition: { name: 'p' } } as unknown as PipelineRecord;
  const publisher = await EventPublisher.open(ctx, pipeline, ANCHOR, tables, record);
  const progress = new SessionProgress(record);
  const controlId = await registry.register('nanosync.control-value', CONTROL_EVENT.schema);
  const messages = async (name: string, partition: number, from = 0) =>
    (await bus.reader(name, partition, from)).read({ maxBytes: 1e9, waitMs: 0 });
  const published = async (partition: number) =>
    (await messages(topic, partition)).map(({ value }) => {
      if (schemaIdOf(value) === controlId) return decodeMessage(CONTROL_EVENT, value);
      const { op, position, epoch } = new ChangeCodec(ORDERS).decode(value);
      return { kind: op, position, epoch };
    });
  const publish = async (...events: Parameters<EventPublisher['event']>[0][]) => {
    for (const event of events) publisher.event(event, progress);
    if (publisher.bytes > 0) progress.published(await publisher.flush());
  };
  return { ctx, publisher, progress, warnings, messages, topic, published, publish };
}

test('an epoch begins once, at its generation event; a change that comes before that is a defect', async () => {
  const { publish, published, progress } = await publishing();
  const marker = (kind: 'generation' | 'consistency', commit: number, epoch: string): SourceEvent & { readonly kind: 'marker' } => ({
    ...{ kind: 'marker', marker: { kind, pipeline: 'p', table: ORDERS.table, epoch }, position: at(commit), commitMs: 1 },
  });
  await publish(marker('consistency', 12, 'e2')); // Of a table that has not begun.
  expect(await published(0)).toEqual([]);
  expect(progress.record.published).toBe(at(12));
  await publish(marker('generation', 13, 'e2'), insert(14, 2, 'x'), marker('generation', 15, 'e2'), insert(16, 3, 'x'));
  expect(await published(0)).toMatchObject([
    { kind: 'generation', epoch: 'e2', position: at(13) },
    { kind: 'c', epoch: 'e2', position: at(14) },
    { kind: 'c', epoch: 'e2', position: at(16) },
  ]);
  const schema = { kind: 'schema', table: ORDERS.table, position: at(11), commitMs: 1, reason: 'a column was added' } as const;
  for (const event of [insert(11, 1, 'x'), schema]) {
    const early = await publishing();
    await expect(early.publish(event)).rejects.toMatchObject({ kind: 'defect' });
    expect(await early.published(0)).toEqual([]);
  }
});

test('what concerns no single row goes into every bus partition of the table', async () => {
  const { publish, published, publisher, progress } = await publishing({ busPartitions: 3 });
  publisher.generation(ORDERS.table, 'e1', ANCHOR.l0, progress);
  await publish(
    { kind: 'truncate', table: ORDERS.table, position: at(11), txId: 1, commitMs: 1 },
    { kind: 'schema', table: ORDERS.table, position: at(12), commitMs: 1, reason: 'a column was added' },
  );
  for (const partition of [0, 1, 2])
    expect(await published(partition)).toMatchObject([
      { kind: 'generation', position: ANCHOR.l0 },
      { kind: 't', position: at(11) },
      { kind: 'schema', position: at(12), detail: expect.stringContaining('a column was added') },
    ]);
  expect(progress.record.tables[ORDERS.table]?.failure).toMatchObject({ cure: 'Run: nanosync pipeline resnapshot p' });
});

test('a change that the bus does not take is quarantined with the reason and counted; those around it keep their order', async () => {
  const { ctx, publisher, progress, warnings, messages, topic } = await publishing();
  publisher.generation(ORDERS.table, 'e1', ANCHOR.l0, progress);
  for (const event of [
    insert(11, 1, 'small'),
    insert(12, 2, randomBytes(LIMIT).toString('hex')),
    insert(13, 3, randomBytes(LIMIT).toString('hex')),
    insert(14, 4, 'small'),
  ])
    publisher.event(event, progress);
  progress.published(await publisher.flush());

  const changes = await messages(topic, 0, 1);
  expect(changes.map(({ value }) => new ChangeCodec(ORDERS).decode(value).position)).toEqual([at(11), at(14)]);
  const quarantined = await messages(ctx.topics.quarantine('p'), 0);
  const found = quarantined.map(({ value }) => decodeMessage(QUARANTINED, value));
  expect(found.map(({ origin }) => origin)).toEqual([at(12), at(13)]);
  expect(found[0]?.reason).toMatch(/^The change is larger than the 20000 bytes that the bus takes/);
  expect(found[0]?.payload.length).toBeGreaterThan(10_000);
  expect(progress.record).toMatchObject({ published: at(14), tables: { [ORDERS.table]: { changes: 2, quarantined: 2 } } });
  expect(warnings).toMatchObject([{ table: ORDERS.table, changes: 2 }]);
});
