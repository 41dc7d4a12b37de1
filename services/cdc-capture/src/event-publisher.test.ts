import { randomBytes } from 'node:crypto';
import type { LogFields, PipelineRecord, ServiceContext, SourceEvent, TableRecord } from '@nanosync/core';
import { ChangeCodec, decodeMessage, positionOf, QUARANTINED, topicsOf } from '@nanosync/core';
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

test('a change that the bus does not take is quarantined with the reason and counted; those around it keep their order', async () => {
  let ids = 0;
  const clock = new FakeClock();
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` }, maxMessageBytes: LIMIT });
  const warnings: (LogFields | undefined)[] = [];
  const line = () => {};
  const log = { debug: line, info: line, warn: (_: string, fields?: LogFields) => warnings.push(fields), error: line, with: () => log };
  const ctx = { bus, registry, clock, log, topics: topicsOf() } as unknown as ServiceContext;
  await bus.ensureTopic(ctx.topics.changes('p', ORDERS.table), 1);
  await bus.ensureTopic(ctx.topics.quarantine('p'), 1);
  const record = freshRecord(ANCHOR, 1);
  const tables = [{ table: ORDERS.table, schema: ORDERS, busPartitions: 1 }] as unknown as readonly TableRecord[];
  const pipeline = { definition: { name: 'p' } } as unknown as PipelineRecord;
  await using publisher = await EventPublisher.open(ctx, pipeline, ANCHOR, tables, record);
  const progress = new SessionProgress(record);
  publisher.generation(ORDERS.table, 'e1', ANCHOR.l0, progress);
  for (const event of [
    insert(11, 1, 'small'),
    insert(12, 2, randomBytes(LIMIT).toString('hex')),
    insert(13, 3, randomBytes(LIMIT).toString('hex')),
    insert(14, 4, 'small'),
  ])
    publisher.event(event, progress);
  progress.published(await publisher.flush());

  const changes = await (await bus.reader(ctx.topics.changes('p', ORDERS.table), 0, 1)).read({ maxBytes: 1e9, waitMs: 0 });
  expect(changes.map(({ value }) => new ChangeCodec(ORDERS).decode(value).position)).toEqual([at(11), at(14)]);
  const quarantined = await (await bus.reader(ctx.topics.quarantine('p'), 0, 0)).read({ maxBytes: 1e9, waitMs: 0 });
  const found = quarantined.map(({ value }) => decodeMessage(QUARANTINED, value));
  expect(found.map(({ origin }) => origin)).toEqual([at(12), at(13)]);
  expect(found[0]?.reason).toMatch(/^The change is larger than the 20000 bytes that the bus takes/);
  expect(found[0]?.payload.length).toBeGreaterThan(10_000);
  expect(progress.record).toMatchObject({ published: at(14), tables: { [ORDERS.table]: { changes: 2, quarantined: 2 } } });
  expect(warnings).toMatchObject([{ table: ORDERS.table, changes: 2 }]);
});
