import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bus } from '@nanosync/core';
import { isKind } from '@nanosync/core';
import { type KafkaAddress, removeStack, type Service, startKafka } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readAll, sendTexts, textsOf } from './testing/read-all.ts';
import { openTestBus } from './testing/test-bus.ts';

let directory: string;
let kafka: Service<KafkaAddress>;

/** Kafka is started again several times, on machines that do other things too. */
vi.setConfig({ testTimeout: 180_000 });

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nanosync-faults-'));
  kafka = await startKafka({ directory });
});
afterAll(async () => {
  await kafka[Symbol.asyncDispose]();
  removeStack(directory);
});

const open = (options = {}) => openTestBus({ brokers: kafka.address.brokers, ...options });

/** Brokers that have just been started may take their time for this. */
async function makeTopic(name: string): Promise<void> {
  await using bus = await open({ patienceMs: 60_000 });
  await bus.ensureTopic(name, 1);
}

/** Sends numbers until all are acknowledged, with a new producer after each failure, as a capture does. */
async function sendAll(bus: Bus, topic: string, total: number): Promise<number> {
  let sessions = 0;
  for (let next = 0; next < total; sessions++) {
    await using producer = await bus.producer();
    try {
      for (; next < total; next++) await sendTexts(producer, topic, 0, String(next));
    } catch (error) {
      if (!isKind(error, 'unavailable')) throw error;
    }
  }
  return sessions;
}

test('a broker that is killed while it is written to and read from loses nothing that was acknowledged', async () => {
  await makeTopic('killed');
  await using bus = await open({ patienceMs: 300 });
  const total = 2000;
  const reader = await bus.reader('killed', 0, 0);
  const read: number[] = [];
  let deaths = 0;
  const reading = (async () => {
    let offset = 0;
    while (read.at(-1) !== total - 1) {
      try {
        for (const message of await reader.read({ maxBytes: 10_000, waitMs: 1000 })) {
          expect(message.offset).toBe(offset++);
          read.push(Number(message.value));
        }
      } catch (error) {
        if (!isKind(error, 'unavailable')) throw error;
      }
      if (read.length < 300 * (deaths + 1) || deaths === 2) continue;
      deaths++;
      await kafka.kill();
      await kafka.start();
    }
  })();
  const sessions = await sendAll(bus, 'killed', total);
  await reading;
  expect(deaths).toBe(2);
  expect(sessions).toBeGreaterThan(2);
  const inOrder: number[] = [];
  for (const number of read) if (number === inOrder.length) inOrder.push(number);
  expect(inOrder).toHaveLength(total);
  expect(read.length).toBeLessThan(total + sessions + 1);
});

test('a broker that stays away is reported by name, and everything goes on once it is back', async () => {
  await makeTopic('away');
  await using bus = await open({ patienceMs: 300 });
  const producer = await bus.producer();
  await sendTexts(producer, 'away', 0, 'a');
  const reader = await bus.reader('away', 0, 0);
  await using member = await bus.group('away', 'g');
  const delivery = await member.next(new AbortController().signal);
  await kafka.kill();
  const address = kafka.address.brokers[0] as string;
  const away = { kind: 'unavailable', message: expect.stringContaining(address) };
  // First: a member that has not reached its group for a session's length knows that its messages are with another.
  await expect(delivery?.done()).rejects.toMatchObject(away);
  await expect(sendTexts(producer, 'away', 0, 'b')).rejects.toMatchObject(away);
  expect(await reader.read({ maxBytes: 1000, waitMs: 0 }).catch((error) => error)).toMatchObject(away);
  await expect(bus.ensureTopic('away', 1)).rejects.toMatchObject(away);
  await expect(bus.reader('away', 0, 0)).rejects.toMatchObject(away);
  await expect(open({ patienceMs: 300 })).rejects.toMatchObject(away);
  await kafka.start();
  expect(textsOf(await reader.read({ maxBytes: 1000, waitMs: 0 }))).toEqual(['a']);
  const next = await bus.producer();
  await sendTexts(next, 'away', 0, 'c');
  const after = await member.next(new AbortController().signal);
  await after?.done();
  expect(textsOf(await readAll(bus, 'away'))).toEqual(['a', 'c']);
});

test('a broker that takes connections and answers nothing ends sends and reads in their time, and closing does not wait for it', async () => {
  await makeTopic('stopped');
  const bus = await open({ patienceMs: 300, sendTimeoutMs: 400, requestTimeoutMs: 400 });
  const producer = await bus.producer();
  const reader = await bus.reader('stopped', 0, 0);
  await sendTexts(producer, 'stopped', 0, 'a');
  kafka.pause();
  try {
    let failure: unknown; // The broker stops a moment after it was told to.
    while (failure === undefined)
      failure = await sendTexts(producer, 'stopped', 0, 'b').then(
        () => undefined,
        (error) => error,
      );
    expect(failure).toMatchObject({ kind: 'unavailable' });
    await expect(sendTexts(producer, 'stopped', 0, 'c')).rejects.toMatchObject({ kind: 'conflict' });
    await expect(reader.read({ maxBytes: 1000, waitMs: 60_000 })).rejects.toMatchObject({ kind: 'unavailable' });
    const began = performance.now();
    await producer[Symbol.asyncDispose]();
    const unread = expect(reader.read({ maxBytes: 1000, waitMs: 60_000 })).rejects.toMatchObject({ kind: 'unavailable' });
    await bus[Symbol.asyncDispose]();
    await unread;
    expect(performance.now() - began).toBeLessThan(1000);
  } finally {
    kafka.resume();
  }
});
