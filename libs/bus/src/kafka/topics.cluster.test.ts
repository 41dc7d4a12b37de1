import { randomBytes } from 'node:crypto';
import type { Bus } from '@nanosync/core';
import { describeError } from '@nanosync/core';
import { clusterStack } from '@nanosync/testkit';
import { type Admin, ConfigResourceTypes, Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openTestBus } from './testing/test-bus.ts';

let bus: Bus;
let admin: Admin;
let topic: string;
let brokers: readonly string[];

beforeEach(async () => {
  brokers = (await clusterStack('kafka')).kafka.brokers;
  bus = await openTestBus({ brokers });
  admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  topic = `topics.${randomBytes(6).toString('hex')}`;
});
afterEach(async () => {
  await bus[Symbol.asyncDispose]();
  await admin.disconnect();
});

test('a topic is made with everything stated that decides what becomes of its messages', async () => {
  const { id } = await bus.ensureTopic(topic, 3);
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
  });
  const configs = Object.fromEntries((resources[0]?.configEntries ?? []).map(({ configName, configValue }) => [configName, configValue]));
  expect(configs).toMatchObject({
    'cleanup.policy': 'delete',
    'compression.type': 'producer',
    'max.message.bytes': String(8 * 1_048_576),
    'min.insync.replicas': '1',
    'retention.bytes': '-1',
    'retention.ms': '-1',
    'unclean.leader.election.enable': 'false',
  });
});

test('of several that make a topic at once all get the same one', async () => {
  await using other = await openTestBus({ brokers });
  const made = await Promise.all([bus, other, bus, other].map((each) => each.ensureTopic(topic, 2)));
  expect(new Set(made.map(({ id }) => id)).size).toBe(1);
});

test('a topic that takes smaller messages than we send is refused with the setting to change', async () => {
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries: [{ name: 'max.message.bytes', value: '100000' }] }] });
  const refused: unknown = await bus.ensureTopic(topic, 1).catch((error) => error);
  expect(refused).toMatchObject({ kind: 'prerequisite' });
  expect(describeError(refused)).toMatch(/takes messages of 100000 bytes.*Set max\.message\.bytes/);
  await using modest = await openTestBus({ brokers, maxMessageBytes: 100_000 });
  await modest.ensureTopic(topic, 1);
});

test('a compacted topic is refused: messages of it would go although they are needed', async () => {
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }] });
  await using modest = await openTestBus({ brokers, maxMessageBytes: 100_000 });
  const refused: unknown = await modest.ensureTopic(topic, 1).catch((error) => error);
  expect(refused).toMatchObject({ kind: 'prerequisite' });
  expect(describeError(refused)).toMatch(/is compacted.*Set cleanup\.policy/);
  expect(await modest.check?.([topic, 'there.is.no.such.topic'])).toEqual([
    { what: expect.stringContaining('one copy'), cure: expect.stringContaining('replication_factor'), mild: true },
    { what: expect.stringContaining('is compacted'), cure: expect.stringContaining('cleanup.policy') },
    { what: expect.stringContaining('by itself, needed or not'), cure: expect.stringContaining('retention.ms'), mild: true },
  ]);
});

test('a limit that is lowered later is a prerequisite, not a broker that is away', async () => {
  await bus.ensureTopic(topic, 1);
  const configEntries = [{ name: 'max.message.bytes', value: '1000' }];
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] });
  const message = { key: Buffer.alloc(0), value: randomBytes(5000) };
  await using producer = await bus.producer();
  await expect(producer.send(topic, 0, [message])).rejects.toMatchObject({ kind: 'prerequisite' });
});

test('more copies than brokers are refused with the setting to change', async () => {
  await using copied = await openTestBus({ brokers, replicationFactor: 3 });
  const refused: unknown = await copied.ensureTopic(topic, 1).catch((error) => error);
  expect(refused).toMatchObject({ kind: 'prerequisite' });
  expect(describeError(refused)).toMatch(/fewer brokers than the 3 copies/);
  expect(await copied.check?.([])).toEqual([
    { what: expect.stringMatching(/3 copies, and Kafka has 1 brokers/), cure: expect.any(String) },
  ]);
});
