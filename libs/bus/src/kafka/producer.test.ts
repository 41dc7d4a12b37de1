import type { Clock } from '@nanosync/core';
import { expect, test, vi } from 'vitest';
import type { KafkaCluster } from './cluster.ts';
import type { Produced } from './produce.ts';
import { KafkaProducer } from './producer.ts';
import type { KafkaTopics } from './topics.ts';
import { WireReader } from './wire.ts';

const SOON = { interval: 1, timeout: 10_000 };

/** A request that a broker has, and how it answers. */
interface Request {
  readonly partitions: readonly number[];
  answer(base: number): void;
  lose(): void;
}

/** A producer, and the brokers that it sends to: one for each bus partition. */
function producing() {
  const requests: Request[] = [];
  const link = {
    close: () => {},
    send: async (request: KafkajsRequest<readonly Produced[]>) => {
      const partitions = partitionsOf(Buffer.from((await request.request.encode()).buffer));
      const { promise, resolve, reject } = Promise.withResolvers<readonly Produced[]>();
      requests.push({
        partitions,
        answer: (base) => resolve(partitions.map((partition) => ({ topic: 't', partition, error: 0, base }))),
        lose: () => reject(Object.assign(new Error('The connection was closed.'), { name: 'KafkaJSConnectionError' })),
      });
      return promise;
    },
  };
  const clock = { nowMs: () => 0, monotonicMs: () => 0, sleep: async () => {} } as Clock;
  const cluster = {
    ...{ settings: { clock, sendTimeoutMs: 1000, maxMessageBytes: 1_000_000 }, signal: new AbortController().signal },
    ...{
      assertOpen: () => {},
      forget: () => {},
      leader: async (_: string, node: number) => ({ topicId: 'id', node }),
      connect: () => link,
    },
  } as unknown as KafkaCluster;
  const producer = new KafkaProducer(cluster, {} as KafkaTopics, () => {});
  const send = (partition: number, value: string) => producer.send('t', partition, [{ key: Buffer.alloc(0), value: Buffer.from(value) }]);
  return { send, requests };
}

/** The bus partitions of a produce request. */
function partitionsOf(bytes: Buffer): readonly number[] {
  const reader = new WireReader(bytes);
  reader.string();
  reader.int16();
  reader.int32();
  return reader
    .array(() => {
      reader.string();
      return reader.array(() => {
        const partition = reader.int32();
        reader.raw(reader.int32());
        return partition;
      });
    })
    .flat();
}

test('one request of a bus partition is under way at a time, those of others go beside it', async () => {
  const { send, requests } = producing();
  const under = () => requests.flatMap(({ partitions }) => partitions).sort();
  const sends = [send(0, 'a'), send(0, 'b'), send(1, 'c')];
  await vi.waitFor(() => expect(under()).toContain(1), SOON);
  // What is given later to another bus partition is there before what waits for an answer.
  sends.push(send(2, 'd'));
  await vi.waitFor(() => expect(under()).toContain(2), SOON);
  expect(under()).toEqual([0, 1, 2]);
  for (const request of requests.splice(0)) request.answer(7);
  await vi.waitFor(() => expect(under()).toEqual([0]), SOON);
  requests[0]?.answer(8);
  expect(await Promise.all(sends)).toEqual([{ end: 8 }, { end: 9 }, { end: 8 }, { end: 8 }]);
});

test('nothing follows a request that was not answered', async () => {
  const { send, requests } = producing();
  const results = Promise.allSettled([send(0, 'a'), send(0, 'b')]);
  await vi.waitFor(() => expect(requests).toHaveLength(1), SOON);
  requests[0]?.lose();
  const later = send(0, 'c').catch((error: unknown) => error);
  const sent = vi.waitUntil(() => requests.length > 1 && 'sent', SOON);
  sent.catch(() => undefined);
  expect(await Promise.race([sent, results.then((all) => all.map(({ status }) => status))])).toEqual(['rejected', 'rejected']);
  expect(await later).toMatchObject({ kind: 'conflict' });
});
