import { randomBytes } from 'node:crypto';
import type { Bus, Delivery, GroupMember } from '@nanosync/core';
import { clusterStack } from '@nanosync/testkit';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sendTexts } from './testing/read-all.ts';
import { startReplyProxy } from './testing/reply-proxy.ts';
import { openTestBus } from './testing/test-bus.ts';

const never = new AbortController().signal;

let bus: Bus;
let topic: string;
let brokers: readonly string[];

beforeEach(async () => {
  brokers = (await clusterStack('kafka')).kafka.brokers;
  bus = await openTestBus({ brokers });
  topic = `group.${randomBytes(6).toString('hex')}`;
});
afterEach(async () => {
  await bus[Symbol.asyncDispose]();
});

async function send(partition: number, ...texts: readonly string[]): Promise<void> {
  await using producer = await bus.producer();
  await sendTexts(producer, topic, partition, ...texts);
}

async function next(member: GroupMember): Promise<Delivery> {
  const delivery = await member.next(never);
  if (delivery === undefined) throw new Error('the member has ended');
  return delivery;
}

const textOf = ({ message }: Delivery) => Buffer.from(message.value).toString();

test('a member that joins takes no bus partition away on which another works, and gets its part when that is done', async () => {
  await bus.ensureTopic(topic, 2);
  await send(0, 'a');
  await send(1, 'b');
  const first = await bus.group(topic, 'g');
  const held = [await next(first), await next(first)];
  const second = await bus.group(topic, 'g');
  const waiting = second.next(never);
  await groupOf(2);
  for (const delivery of held) await delivery.heartbeat();
  await held[0]?.done();
  await held[1]?.done();
  await send(0, 'c', 'e');
  await send(1, 'd', 'f');
  // Each has one bus partition now, and nothing is delivered twice.
  const got = [(await waiting) as Delivery, await next(second), await next(first), await next(first)];
  expect(got.map(textOf).sort()).toEqual(['c', 'd', 'e', 'f']);
  expect(new Set(got.slice(0, 2).map(textOf))).not.toEqual(new Set(['c', 'd']));
  for (const delivery of got) await delivery.done();
});

test('the messages of a member that is not heard of go to another, and what it says later is refused', async () => {
  await bus.ensureTopic(topic, 1);
  await send(0, 'a');
  await using proxy = await startReplyProxy(brokers[0] as string);
  await using cut = await openTestBus({ brokers: [proxy.address], sessionTimeoutMs: 6000, requestTimeoutMs: 500, patienceMs: 500 });
  const silent = await cut.group(topic, 'g');
  const held = await next(silent);
  proxy.fate = () => 'drop';
  const heir = await next(await bus.group(topic, 'g'));
  expect(textOf(heir)).toBe('a');
  await expect(held.done()).rejects.toThrow(); // Nobody answers it.
  proxy.fate = () => 'pass';
  await expect
    .poll(
      () =>
        held.heartbeat().then(
          () => 'held',
          () => 'gone',
        ),
      { timeout: 20_000 },
    )
    .toBe('gone');
  await expect(held.done()).rejects.toMatchObject({ kind: 'conflict' });
  await heir.done();
  await send(0, 'b');
});

test('a group that is ahead of its topic begins again instead of skipping', async () => {
  await bus.ensureTopic(topic, 1);
  await send(0, 'a', 'b');
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.setOffsets({ groupId: `${topic}.g`, topic, partitions: [{ partition: 0, offset: '50' }] });
  await using member = await bus.group(topic, 'g');
  expect(textOf(await next(member))).toBe('a');
  await admin.disconnect();
});

test('kafka itself shows what the group has done', async () => {
  await bus.ensureTopic(topic, 1);
  await send(0, 'a', 'b', 'c');
  await using member = await bus.group(topic, 'g');
  const deliveries = [await next(member), await next(member), await next(member)];
  await deliveries[2]?.done();
  await deliveries[0]?.done();
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const [found] = await admin.fetchOffsets({ groupId: `${topic}.g`, topics: [topic] });
  await admin.disconnect();
  expect(found?.partitions).toMatchObject([{ partition: 0, offset: '1', metadata: '2-3' }]);
});

test('a member that cannot be in its group says so to whoever asks, now and later', async () => {
  await bus.ensureTopic(topic, 1);
  const consumer = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).consumer({ groupId: `${topic}.g` });
  await consumer.connect();
  await consumer.subscribe({ topic });
  await consumer.run({ eachMessage: async () => {} });
  await groupOf(1);
  await using member = await bus.group(topic, 'g'); // Of members that share out in another way.
  for (let asked = 0; asked < 2; asked++)
    await expect(member.next(never)).rejects.toMatchObject({ message: expect.stringContaining('INCONSISTENT_GROUP_PROTOCOL') });
  await consumer.disconnect();
});

/** Waits until the group has so many members and is at rest. */
async function groupOf(members: number): Promise<void> {
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await expect
    .poll(
      async () => {
        const { groups } = await admin.describeGroups([`${topic}.g`]);
        return groups.map(({ state, members: found }) => [state, found.length]);
      },
      { timeout: 20_000 },
    )
    .toEqual([['Stable', members]]);
  await admin.disconnect();
}
