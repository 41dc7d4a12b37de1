import type { PartitionRecord, PipelineRecord, ServiceContext, TableRecord } from '@nanosync/core';
import { topicsOf } from '@nanosync/core';
import { expect, test } from 'vitest';
import type { Ledger } from './ledger.ts';
import { TaskPublisher } from './task-publisher.ts';

const BUS_PARTITIONS = 8;

/** Tasks that workers take as the bus hands them out, `owners` saying which worker has which bus partition. */
function surroundings() {
  const sent: number[] = [];
  const readers = new Map<number, string>();
  const done = new Set<number>();
  const producer = {
    send: async (_topic: string, busPartition: number) => void sent.push(busPartition),
    [Symbol.asyncDispose]: async () => undefined,
  };
  const ctx = {
    registry: { register: async () => 1 },
    topics: topicsOf(),
    tasksBusPartitions: BUS_PARTITIONS,
    bus: { producer: async () => producer },
  } as unknown as ServiceContext;
  const ledger = {
    isInFlight: (partition: number) => !done.has(partition),
    readerOf: (partition: number) => readers.get(partition) ?? null,
  } as unknown as Ledger;
  const tasks = new TaskPublisher(ctx);
  const table = { table: 'public.t', epoch: 'e', partitions: 1000 } as unknown as TableRecord;
  const send = async (partition: number, ownerOf: (busPartition: number) => string): Promise<string> => {
    const record = { partition, range: '' } as PartitionRecord;
    await tasks.send({ definition: { name: 'p' } } as PipelineRecord, { table, ledger, record, order: 1 });
    const owner = ownerOf(sent.at(-1) as number);
    readers.set(partition, owner);
    return owner;
  };
  return { send, done, sent };
}

test('one worker after the other comes, and each soon has its part of the tasks in flight', async () => {
  const { send, done } = surroundings();
  const inFlight: { readonly partition: number; readonly owner: string }[] = [];
  let next = 0;
  const round = async (ownerOf: (busPartition: number) => string) => {
    const [oldest] = inFlight.splice(0, 1);
    if (oldest !== undefined) done.add(oldest.partition);
    inFlight.push({ partition: next, owner: await send(next++, ownerOf) });
  };
  for (let task = 0; task < 4; task++) inFlight.push({ partition: next, owner: await send(next++, () => 'a') });
  const two = (busPartition: number) => (busPartition < 4 ? 'a' : 'b');
  for (let task = 0; task < 12; task++) await round(two);
  expect(inFlight.filter(({ owner }) => owner === 'b')).toHaveLength(2);
  const four = (busPartition: number) => 'abcd'[busPartition >> 1] as string;
  for (let task = 0; task < 20; task++) await round(four);
  expect(new Set(inFlight.map(({ owner }) => owner)).size).toBe(4);
});

test('a worker that is quicker gets more', async () => {
  const { send, done } = surroundings();
  const ownerOf = (busPartition: number) => (busPartition < 4 ? 'slow' : 'quick');
  const busy: Record<string, number[]> = { slow: [], quick: [] };
  const counts: Record<string, number> = { slow: 0, quick: 0 };
  for (let partition = 0; partition < 100; partition++) {
    const owner = await send(partition, ownerOf);
    busy[owner]?.push(partition);
    counts[owner] = (counts[owner] ?? 0) + 1;
    if (partition < 3) continue;
    const turn = partition % 4 === 0 && (busy.slow?.length ?? 0) > 0 ? 'slow' : (busy.quick?.length ?? 0) > 0 ? 'quick' : 'slow';
    done.add(busy[turn]?.shift() as number);
  }
  expect(counts.quick).toBeGreaterThan(60);
});
