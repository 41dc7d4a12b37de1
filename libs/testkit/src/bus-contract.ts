import { randomBytes } from 'node:crypto';
import type { Bus, GroupMember, Message, OutMessage, PartitionReader, Registry } from '@nanosync/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from './fake-clock.ts';

/** A bus under test: `open` may be called again after the opened bus was disposed, and finds what was there. */
export interface BusStoreUnderTest extends AsyncDisposable {
  /** The time by which the bus dates messages, where it is not the clock's. */
  readonly nowMs?: () => number;
  open(limits?: { readonly maxMessageBytes: number }): Promise<{ readonly bus: Bus; readonly registry: Registry }>;
}

const never = new AbortController().signal;
const ALL = { maxBytes: 64 * 1_048_576, waitMs: 0 };

/** The contract of Bus and Registry, run on every adapter. */
export function describeBus(name: string, start: (clock: FakeClock) => Promise<BusStoreUnderTest>): void {
  describe(`bus contract: ${name}`, () => {
    let clock: FakeClock;
    let store: BusStoreUnderTest;
    let bus: Bus;
    let registry: Registry;
    let topic: string;

    const open = async () => {
      ({ bus, registry } = await store.open());
    };
    const reopen = async () => {
      await bus[Symbol.asyncDispose]();
      await open();
    };
    const send = async (partition: number, ...values: readonly string[]) => {
      const producer = await bus.producer();
      const sent = await producer.send(topic, partition, values.map(message));
      await producer[Symbol.asyncDispose]();
      return sent.end;
    };

    beforeEach(async () => {
      clock = new FakeClock();
      store = await start(clock);
      topic = `contract.${randomBytes(6).toString('hex')}`;
      await open();
    });
    afterEach(async () => {
      await bus[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    });

    test('a topic has an id of its own life and a pinned number of partitions', async () => {
      expect(await bus.topic(topic)).toBeUndefined();
      const created = await bus.ensureTopic(topic, 3);
      expect(created.partitions).toEqual([0, 1, 2].map(() => ({ start: 0, end: 0 })));
      expect(await bus.ensureTopic(topic, 3)).toEqual(created);
      await expect(bus.ensureTopic(topic, 4)).rejects.toMatchObject({ kind: 'gap' });
      await bus.deleteTopic(topic);
      await bus.deleteTopic(topic);
      expect(await bus.topic(topic)).toBeUndefined();
      expect((await bus.ensureTopic(topic, 4)).id).not.toBe(created.id);
    });

    test('messages come back as sent, in order, with offsets from 0 and the time of the send', async () => {
      await bus.ensureTopic(topic, 2);
      const nowMs = store.nowMs ?? (() => clock.nowMs());
      const began = nowMs();
      expect(await send(1, 'a', 'b')).toBe(2);
      expect(await send(1, '', 'd')).toBe(4);
      expect(await send(0, 'other')).toBe(1);
      const messages = await readAll(await bus.reader(topic, 1, 0));
      expect(messages.map((one) => [one.offset, text(one.key), text(one.value)])).toEqual(
        ['a', 'b', '', 'd'].map((value, offset) => [offset, `key of ${value}`, value]),
      );
      for (const { timestampMs } of messages) {
        expect(timestampMs).toBeGreaterThanOrEqual(began);
        expect(timestampMs).toBeLessThanOrEqual(nowMs());
      }
      expect(await readAll(await bus.reader(topic, 1, 3))).toHaveLength(1);
      expect(await readAll(await bus.reader(topic, 1, 4))).toHaveLength(0);
      expect((await bus.topic(topic))?.partitions).toEqual([
        { start: 0, end: 1 },
        { start: 0, end: 4 },
      ]);
    });

    test('an empty send is sent, values of several megabytes too', async () => {
      await bus.ensureTopic(topic, 1);
      expect(await send(0)).toBe(0);
      const producer = await bus.producer();
      const values = [5_000_000, 10, 0, 700_000, 700_000, 700_000, 40_000].map((size) => randomBytes(size));
      await producer.send(
        topic,
        0,
        values.map((value) => ({ key: Buffer.alloc(0), value })),
      );
      const messages = await readAll(await bus.reader(topic, 0, 0));
      expect(messages).toHaveLength(values.length);
      for (const [at, one] of messages.entries()) expect(Buffer.compare(one.value, values[at] as Buffer)).toBe(0);
    });

    test('sends of one producer stay in order, sends of several are each in one piece', async () => {
      await bus.ensureTopic(topic, 1);
      const producers = [await bus.producer(), await bus.producer()];
      const sends = Array.from({ length: 60 }, (_, at) => producers[at % 2]?.send(topic, 0, numbered(at, 5)));
      await Promise.all(sends);
      const values = (await readAll(await bus.reader(topic, 0, 0))).map(({ value }) => text(value));
      expect(values).toHaveLength(300);
      const order = values.filter((_, at) => at % 5 === 0).map((value) => Number(value.split('.')[0]));
      for (const [at, first] of order.entries())
        expect(values.slice(at * 5, at * 5 + 5)).toEqual(numbered(first, 5).map((one) => text(one.value)));
      for (const parity of [0, 1]) {
        const mine = order.filter((one) => one % 2 === parity);
        expect(mine).toEqual([...mine].sort((a, b) => a - b));
      }
    });

    test('a read takes at least one message and about maxBytes', async () => {
      await bus.ensureTopic(topic, 1);
      await send(0, ...Array.from({ length: 20 }, () => 'x'.repeat(1000)));
      const reader = await bus.reader(topic, 0, 0);
      expect(await reader.read({ maxBytes: 1, waitMs: 0 })).toHaveLength(1);
      const some = await reader.read({ maxBytes: 10_000, waitMs: 0 });
      expect(some.length).toBeGreaterThan(2);
      expect(some.length).toBeLessThanOrEqual(5);
      expect((await readAll(reader)).at(-1)?.offset).toBe(19);
    });

    test('a reader waits for a message, for its time, or for the signal', async () => {
      await bus.ensureTopic(topic, 1);
      const reader = await bus.reader(topic, 0, 0);
      const woken = reader.read({ ...ALL, waitMs: 1_000_000 });
      await send(0, 'late');
      expect(await woken).toHaveLength(1);
      let ended = false;
      const empty = reader.read({ ...ALL, waitMs: 1000 }).finally(() => {
        ended = true;
      });
      await clock.advance(900);
      expect(ended).toBe(false);
      await clock.advance(100);
      expect(await empty).toEqual([]);
      const stop = new AbortController();
      const stopped = reader.read({ ...ALL, waitMs: 1_000_000, signal: stop.signal });
      stop.abort();
      expect(await stopped).toEqual([]);
    });

    test('out of range is a gap, never a reset', async () => {
      await bus.ensureTopic(topic, 1);
      for (const value of ['a', 'b', 'c']) await send(0, value);
      await expect(readAll(await bus.reader(topic, 0, 4))).rejects.toMatchObject({ kind: 'gap' });
      const behind = await bus.reader(topic, 0, 0);
      expect(await behind.read({ maxBytes: 1, waitMs: 0 })).toHaveLength(1);
      await bus.trim(topic, 0, 2);
      await expect(behind.read(ALL)).rejects.toMatchObject({ kind: 'gap' });
      await expect(readAll(await bus.reader(topic, 0, 1))).rejects.toMatchObject({ kind: 'gap' });
      expect((await readAll(await bus.reader(topic, 0, 2))).map(({ value }) => text(value))).toEqual(['c']);
      await expect(bus.reader(`${topic}.none`, 0, 0)).rejects.toMatchObject({ kind: 'gap' });
    });

    test('a reader does not go on in a later life of the topic', async () => {
      await bus.ensureTopic(topic, 1);
      const reader = await bus.reader(topic, 0, 0);
      await bus.deleteTopic(topic);
      await bus.ensureTopic(topic, 1);
      await send(0, 'new');
      await expect(reader.read(ALL)).rejects.toMatchObject({ kind: 'gap' });
    });

    test('trimming keeps offsets; below the start it does nothing, above the end it is refused', async () => {
      await bus.ensureTopic(topic, 1);
      await send(0, 'a', 'b', 'c');
      await bus.trim(topic, 0, 3);
      await bus.trim(topic, 0, 1);
      expect((await bus.topic(topic))?.partitions).toEqual([{ start: 3, end: 3 }]);
      await expect(bus.trim(topic, 0, 4)).rejects.toMatchObject({ kind: 'gap' });
      expect(await send(0, 'd')).toBe(4);
      expect((await readAll(await bus.reader(topic, 0, 3)))[0]?.offset).toBe(3);
    });

    test('a failed send poisons the producer, what waits behind it included', async () => {
      await bus.ensureTopic(topic, 1);
      const producer = await bus.producer();
      const results = await Promise.allSettled([
        producer.send(topic, 0, [message('before')]),
        producer.send(`${topic}.none`, 0, [message('lost')]),
        producer.send(topic, 0, [message('after')]),
      ]);
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
      await expect(producer.send(topic, 0, [message('later')])).rejects.toThrow();
      expect(await readAll(await bus.reader(topic, 0, 0))).toHaveLength(1);
      expect(await send(0, 'fresh producer')).toBe(2);
    });

    test('a message above the limit is refused, one at the limit is not', async () => {
      await bus.ensureTopic(topic, 1);
      await bus[Symbol.asyncDispose]();
      ({ bus, registry } = await store.open({ maxMessageBytes: 20_000 }));
      const limit = bus.maxMessageBytes;
      expect(limit).toBeLessThanOrEqual(20_000);
      const producer = await bus.producer();
      const sized = (bytes: number) => ({ key: Buffer.alloc(10), value: randomBytes(bytes - 10) });
      await producer.send(topic, 0, [sized(limit), sized(10), sized(limit), sized(limit)]);
      await expect(producer.send(topic, 0, [sized(limit + 1)])).rejects.toMatchObject({ kind: 'prerequisite' });
      expect((await readAll(await bus.reader(topic, 0, 0))).map(({ value }) => value.length)).toEqual([
        limit - 10,
        0,
        limit - 10,
        limit - 10,
      ]);
    });

    test('everything survives a reopening: ids, offsets, messages, trims', async () => {
      const created = await bus.ensureTopic(topic, 1);
      await send(0, 'a', 'b', 'c');
      await bus.trim(topic, 0, 1);
      await reopen();
      expect(await bus.topic(topic)).toEqual({ ...created, partitions: [{ start: 1, end: 3 }] });
      expect(await send(0, 'd')).toBe(4);
      expect((await readAll(await bus.reader(topic, 0, 1))).map(({ value }) => text(value))).toEqual(['b', 'c', 'd']);
    });

    test('a group shares messages among its members, another group gets them all again', async () => {
      await bus.ensureTopic(topic, 2);
      await send(0, 'a', 'b');
      await send(1, 'c', 'd');
      await using one = await bus.group(topic, 'g');
      await using two = await bus.group(topic, 'g');
      await using other = await bus.group(topic, 'other');
      expect((await finishNext(4, one, two)).sort()).toEqual(['a', 'b', 'c', 'd']);
      expect((await finishNext(4, other)).sort()).toEqual(['a', 'b', 'c', 'd']);
      const waiting = finishNext(1, one, two);
      await send(0, 'e');
      expect(await waiting).toEqual(['e']);
      const stop = new AbortController();
      const stopped = two.next(stop.signal);
      stop.abort();
      expect(await stopped).toBeUndefined();
    });

    test('groups of one name on two topics know nothing of one another', async () => {
      const other = `${topic}.other`;
      await bus.ensureTopic(topic, 2);
      await bus.ensureTopic(other, 2);
      await using mine = await bus.group(topic, 'g');
      await using theirs = await bus.group(other, 'g');
      await using producer = await bus.producer();
      for (const name of [topic, other])
        for (const partition of [0, 1])
          await producer.send(name, partition, [{ key: Buffer.alloc(0), value: Buffer.from(`${partition}`) }]);
      expect((await finishNext(2, mine)).sort()).toEqual(['0', '1']);
      expect((await finishNext(2, theirs)).sort()).toEqual(['0', '1']);
    });

    test('a member takes several messages before the first is done', async () => {
      await bus.ensureTopic(topic, 1);
      await send(0, 'a', 'b', 'c');
      await using member = await bus.group(topic, 'g');
      const deliveries = [await member.next(never), await member.next(never), await member.next(never)];
      expect(deliveries.map((one) => text(one?.message.value as Uint8Array))).toEqual(['a', 'b', 'c']);
    });

    test('what a member did not finish goes to another when it ends', async () => {
      await bus.ensureTopic(topic, 1);
      await send(0, 'a');
      const members = [await bus.group(topic, 'g'), await bus.group(topic, 'g')];
      const waiting = members.map((member) => member.next(never));
      const first = await Promise.race(waiting.map(async (next, at) => ({ at, delivery: await next })));
      await first.delivery?.heartbeat();
      await members[first.at]?.[Symbol.asyncDispose]();
      await expect(first.delivery?.done()).rejects.toMatchObject({ kind: 'conflict' });
      await expect(first.delivery?.heartbeat()).rejects.toMatchObject({ kind: 'conflict' });
      expect(await members[first.at]?.next(never)).toBeUndefined();
      const again = await waiting[1 - first.at];
      expect(text(again?.message.value as Uint8Array)).toBe('a');
      await again?.done();
    });

    test('done in any order survives; what was not done is delivered again', async () => {
      await bus.ensureTopic(topic, 1);
      await send(0, 'a', 'b', 'c', 'd', 'e');
      const member = await bus.group(topic, 'g');
      const deliveries = [];
      for (let at = 0; at < 5; at++) deliveries.push(await member.next(never));
      for (const at of [3, 0, 4]) await deliveries[at]?.done();
      await reopen();
      const later = await bus.group(topic, 'g');
      const again = [await later.next(never), await later.next(never)];
      expect(again.map((one) => text(one?.message.value as Uint8Array))).toEqual(['b', 'c']);
      for (const one of again) await one?.done();
      await send(0, 'f');
      expect(text((await later.next(never))?.message.value as Uint8Array)).toBe('f');
    });

    test('a group whose unfinished messages were trimmed meets a gap', async () => {
      await bus.ensureTopic(topic, 1);
      await send(0, 'a', 'b', 'c');
      const member = await bus.group(topic, 'g');
      await (await member.next(never))?.done();
      await reopen();
      await bus.trim(topic, 0, 2);
      const later = await bus.group(topic, 'g');
      await expect(later.next(never)).rejects.toMatchObject({ kind: 'gap' });
    });

    test('the registry gives a schema one id for ever, and its text back with all attributes', async () => {
      const subject = `${topic}-value`;
      const [first, second] = [recordOf('id'), recordOf('id', 'added')];
      const id = await registry.register(subject, first);
      const other = await registry.register(subject, second);
      expect(other).not.toBe(id);
      expect(await registry.register(subject, first)).toBe(id);
      const both = await Promise.all([registry.register(`${topic}-b`, recordOf('b')), registry.register(`${topic}-b`, recordOf('b'))]);
      expect(both[0]).toBe(both[1]);
      await reopen();
      expect(await registry.register(subject, second)).toBe(other);
      expect(JSON.parse(await registry.schema(id))).toEqual(JSON.parse(first));
      await expect(registry.schema(1_000_000)).rejects.toMatchObject({ kind: 'gap' });
    });

    test('a closed bus says so, also to whoever waits', async () => {
      await bus.ensureTopic(topic, 1);
      const reader = await bus.reader(topic, 0, 0);
      const producer = await bus.producer();
      const waiting = expect(reader.read({ ...ALL, waitMs: 1_000_000 })).rejects.toMatchObject({ kind: 'unavailable' });
      await bus[Symbol.asyncDispose]();
      await waiting;
      await expect(producer.send(topic, 0, [message('a')])).rejects.toMatchObject({ kind: 'unavailable' });
      await open();
    });
  });
}

/** What so many deliveries held, whichever members got and finished them. */
async function finishNext(count: number, ...members: readonly GroupMember[]): Promise<string[]> {
  const got: string[] = [];
  const stop = new AbortController();
  const pull = async (member: GroupMember) => {
    for (let delivery = await member.next(stop.signal); delivery !== undefined; delivery = await member.next(stop.signal)) {
      await delivery.heartbeat();
      await delivery.done();
      got.push(text(delivery.message.value));
      if (got.length === count) stop.abort();
    }
  };
  await Promise.all(members.map(pull));
  return got;
}

/** A record of these columns, each with a default and an attribute that Avro does not know. */
function recordOf(...columns: readonly string[]): string {
  const fields = columns.map((name) => ({ name, type: 'string', default: '', 'nanosync.type': `text of ${name}` }));
  return JSON.stringify({ type: 'record', name: 'Contract', namespace: 'nanosync.test', fields, 'nanosync.key': columns });
}

async function readAll(reader: PartitionReader): Promise<readonly Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const some = await reader.read(ALL);
    if (some.length === 0) return messages;
    messages.push(...some);
  }
}

function message(value: string): OutMessage {
  return { key: Buffer.from(`key of ${value}`), value: Buffer.from(value) };
}

function numbered(first: number, count: number): readonly OutMessage[] {
  return Array.from({ length: count }, (_, at) => message(`${first}.${at}`));
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}
