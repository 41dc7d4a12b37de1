import { randomBytes } from 'node:crypto';
import { type Bus, type Clock, type GroupMember, type PartitionReader, PipelineError, type Registry, type TopicInfo } from '@nanosync/core';
import { EmbeddedMember } from './group-member.ts';
import { GroupQueue } from './group-queue.ts';
import { LogStore, requirePartition } from './log-store.ts';
import { EmbeddedReader } from './partition-reader.ts';
import { EmbeddedProducer } from './producer.ts';
import { embeddedRegistry } from './registry.ts';
import { deleteTopic, removeOrphans, trim } from './upkeep.ts';

/** Settings of {@link openEmbeddedBus}. */
export interface EmbeddedBusOptions {
  readonly directory: string;
  readonly clock: Clock;
  /** Size at which a segment file is full; trimmed messages leave the disk by whole segments. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Default 64 MiB. */
  readonly maxMessageBytes?: number;
}

/** Opens the durable bus of one directory; disposing the bus closes the registry too. Other processes may have it open as well. */
export async function openEmbeddedBus(options: EmbeddedBusOptions): Promise<{ readonly bus: Bus; readonly registry: Registry }> {
  const store = LogStore.open(options.directory, options.clock, options.segmentBytes);
  await removeOrphans(store);
  return { bus: new EmbeddedBus(store, options.maxMessageBytes), registry: embeddedRegistry(store) };
}

class EmbeddedBus implements Bus {
  readonly #store: LogStore;
  readonly #groups = new Map<string, GroupQueue>();
  readonly maxMessageBytes: number;

  constructor(store: LogStore, maxMessageBytes = 64 * 1_048_576) {
    this.#store = store;
    this.maxMessageBytes = maxMessageBytes;
  }

  async ensureTopic(name: string, partitions: number): Promise<TopicInfo> {
    if (!Number.isInteger(partitions) || partitions < 1) throw new PipelineError('defect', `A topic cannot have ${partitions} partitions.`);
    this.#store.assertOpen();
    const { index } = this.#store;
    index.refresh();
    const topic =
      index.topic(name) ??
      (await this.#store.submit({
        apply: () => {
          const found = index.topic(name);
          if (found !== undefined) return found;
          const created = { no: index.count('topic'), id: randomBytes(8).toString('hex'), partitions };
          index.put(`topic:${name}`, created);
          return created;
        },
      }));
    if (topic.partitions === partitions) return this.#store.info(name) as TopicInfo;
    throw new PipelineError('gap', `Topic ${name} has ${topic.partitions} partitions, not ${partitions}: keys would change their place.`, {
      hint: 'Set the number of partitions back, or delete and resnapshot the pipeline.',
    });
  }

  async topic(name: string): Promise<TopicInfo | undefined> {
    return this.#store.info(name);
  }

  async deleteTopic(name: string): Promise<void> {
    await deleteTopic(this.#store, name);
  }

  async producer(): Promise<EmbeddedProducer> {
    this.#store.assertOpen();
    return new EmbeddedProducer(this.#store, this.maxMessageBytes);
  }

  async reader(name: string, partition: number, offset: number): Promise<PartitionReader> {
    this.#store.index.refresh();
    const topic = this.#store.requireTopic(name);
    requirePartition(name, topic, partition);
    return new EmbeddedReader(this.#store, { name, topic, partition }, offset);
  }

  async group(name: string, group: string): Promise<GroupMember> {
    this.#store.index.refresh();
    const topic = this.#store.requireTopic(name);
    const key = `${topic.no}/${group}`;
    const queue = this.#groups.get(key) ?? new GroupQueue(this.#store, name, topic, group);
    this.#groups.set(key, queue);
    return new EmbeddedMember(queue);
  }

  async trim(name: string, partition: number, before: number): Promise<void> {
    await trim(this.#store, name, partition, before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}
