import { randomBytes } from 'node:crypto';
import type { Bus } from '@nanosync/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sendTexts, textsOf } from './testing/read-all.ts';
import { openTestBus } from './testing/test-bus.ts';

const PARTITIONS = 20;

let bus: Bus;
let topic: string;

beforeEach(async () => {
  bus = await openTestBus();
  topic = `reader.${randomBytes(6).toString('hex')}`;
});
afterEach(async () => {
  await bus[Symbol.asyncDispose]();
});

test('many readers that wait at once each get all of their own, also two of one bus partition', async () => {
  const topics = [`${topic}.a`, `${topic}.b`];
  for (const name of topics) await bus.ensureTopic(name, PARTITIONS);
  const rounds = 30;
  const places = topics.flatMap((name) => Array.from({ length: PARTITIONS }, (_, partition) => ({ name, partition })));
  const read = async ({ name, partition }: (typeof places)[0]) => {
    const reader = await bus.reader(name, partition, 0);
    const texts: string[] = [];
    while (texts.length < rounds) texts.push(...textsOf(await reader.read({ maxBytes: 100, waitMs: 10_000 })));
    return texts;
  };
  const reading = [...places, places[0] as (typeof places)[0]].map(read);
  await using producer = await bus.producer();
  for (let round = 0; round < rounds; round++)
    await Promise.all(places.map(({ name, partition }) => sendTexts(producer, name, partition, `${name} ${partition} ${round}`)));
  const expected = places.map(({ name, partition }) => Array.from({ length: rounds }, (_, round) => `${name} ${partition} ${round}`));
  expect(await Promise.all(reading)).toEqual([...expected, expected[0]]);
});

test('of two readers that have long waited for one bus partition neither is forgotten', async () => {
  await bus.ensureTopic(topic, 1);
  const readers = [await bus.reader(topic, 0, 0), await bus.reader(topic, 0, 0)];
  for (const reader of readers) expect(await reader.read({ maxBytes: 1000, waitMs: 600 })).toEqual([]);
  const reading = readers.map((reader) => reader.read({ maxBytes: 1000, waitMs: 10_000 }));
  await using producer = await bus.producer();
  await sendTexts(producer, topic, 0, 'a');
  expect((await Promise.all(reading)).map(textsOf)).toEqual([['a'], ['a']]);
});

test('a read that ended without messages loses none: what comes later is for the next one, which may also not wait', async () => {
  await bus.ensureTopic(topic, 1);
  const reader = await bus.reader(topic, 0, 0);
  expect(await reader.read({ maxBytes: 1000, waitMs: 1 })).toEqual([]);
  await using producer = await bus.producer();
  await sendTexts(producer, topic, 0, 'a');
  expect(textsOf(await reader.read({ maxBytes: 1000, waitMs: 0 }))).toEqual(['a']);
  const stop = new AbortController();
  const stopped = reader.read({ maxBytes: 1000, waitMs: 60_000, signal: stop.signal });
  stop.abort();
  expect(await stopped).toEqual([]);
  await sendTexts(producer, topic, 0, 'b');
  expect(textsOf(await reader.read({ maxBytes: 1000, waitMs: 60_000 }))).toEqual(['b']);
});
