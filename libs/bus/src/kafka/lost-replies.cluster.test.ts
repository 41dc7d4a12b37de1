import { randomBytes } from 'node:crypto';
import type { Bus, Producer } from '@nanosync/core';
import { isKind } from '@nanosync/core';
import { clusterStack } from '@nanosync/testkit';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readAll, sendTexts, textsOf } from './testing/read-all.ts';
import { API, type ReplyProxy, startReplyProxy } from './testing/reply-proxy.ts';
import { openTestBus } from './testing/test-bus.ts';

const ANSWER_MS = 500;

let proxy: ReplyProxy;
let bus: Bus;
let topic: string;

beforeEach(async () => {
  const { kafka } = await clusterStack('kafka');
  proxy = await startReplyProxy(kafka.brokers[0] as string);
  bus = await openTestBus({ brokers: [proxy.address], sendTimeoutMs: ANSWER_MS });
  topic = `lost.${randomBytes(6).toString('hex')}`;
  await bus.ensureTopic(topic, 1);
});
afterEach(async () => {
  await bus[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

/** Lets the broker's answers to these sends, counted from now, get lost. */
function dropSends(...numbers: readonly number[]): void {
  let first: number | undefined;
  proxy.fate = (api, count) => {
    if (api !== API.produce) return 'pass';
    first ??= count;
    return numbers.includes(count - first) ? 'drop' : 'pass';
  };
}

test('an idempotent producer of kafkajs acknowledges a message that is not there once answers got lost: why ours is not idempotent', async () => {
  const kafka = new Kafka({
    brokers: [proxy.address],
    requestTimeout: ANSWER_MS,
    enforceRequestTimeout: true,
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
  });
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, retry: { retries: 1, initialRetryTime: 5 } });
  await producer.connect();
  const send = (value: string) => producer.send({ topic, acks: -1, messages: [{ key: 'k', value, partition: 0 }] });
  dropSends(1, 2);
  await send('first');
  await expect(send('A')).rejects.toThrow();
  await send('B'); // Acknowledged.
  await send('C');
  await producer.disconnect();
  expect(await valuesOf(bus)).toEqual(['first', 'A', 'C']);
});

test('ours loses nothing that it acknowledged: after a lost reply it sends no more, and its successor goes on', async () => {
  dropSends(1);
  const producer = await bus.producer();
  await sendTo(producer, 'first');
  await expect(sendTo(producer, 'A')).rejects.toMatchObject({ kind: 'unavailable' });
  await expect(sendTo(producer, 'B')).rejects.toMatchObject({ kind: 'conflict' });
  await producer[Symbol.asyncDispose]();
  const successor = await bus.producer();
  await sendTo(successor, 'B');
  await sendTo(successor, 'C');
  expect(await valuesOf(bus)).toEqual(['first', 'A', 'B', 'C']);
});

test('whatever replies get lost, each session is without a gap from the last acknowledged message on', async () => {
  dropSends(3, 4, 9, 15, 16, 17, 28);
  const total = 40;
  let acknowledged = 0;
  let sessions = 0;
  while (acknowledged < total) {
    sessions++;
    await using producer = await bus.producer();
    const from = acknowledged;
    const sends = Array.from({ length: total - from }, (_, at) => sendTo(producer, `${sessions}/${from + at}`));
    for (const [at, outcome] of (await Promise.allSettled(sends)).entries()) {
      if (outcome.status === 'fulfilled') expect(from + at).toBe(acknowledged++);
      else expect(isKind(outcome.reason, 'unavailable', 'conflict')).toBe(true);
    }
  }
  expect(sessions).toBe(8);
  const values = (await valuesOf(bus)).map((value) => value.split('/').map(Number) as [number, number]);
  const applied: number[] = [];
  for (const [at, [session, number]] of values.entries()) {
    const before = values[at - 1];
    if (before?.[0] === session) expect(number).toBe(before[1] + 1);
    else expect(session).toBeGreaterThan(before?.[0] ?? 0);
    if (number === applied.length) applied.push(number);
  }
  expect(applied).toHaveLength(total);
});

async function sendTo(producer: Producer, value: string): Promise<void> {
  await sendTexts(producer, topic, 0, value);
}

async function valuesOf(of: Bus): Promise<string[]> {
  return textsOf(await readAll(of, topic));
}
