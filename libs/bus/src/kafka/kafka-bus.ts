import type { Bus, GroupMember, PartitionReader, Producer, TopicInfo } from '@nanosync/core';
import { KafkaCluster } from './cluster.ts';
import { Fetcher } from './fetcher.ts';
import { type KafkaBusOptions, settingsOf } from './options.ts';
import { KafkaProducer } from './producer.ts';
import { KafkaReader } from './reader.ts';
import { KafkaTopics } from './topics.ts';

/** Opens a bus on Kafka 3.1 or newer; throws when no broker answers, refuses the login or is too old. */
export async function openKafkaBus(options: KafkaBusOptions): Promise<Bus> {
  const cluster = new KafkaCluster(settingsOf(options));
  try {
    await cluster.patiently('reach the bus', async () => (await cluster.controller()) && true);
  } catch (error) {
    cluster.close();
    throw error;
  }
  return new KafkaBus(cluster);
}

class KafkaBus implements Bus {
  readonly #cluster: KafkaCluster;
  readonly #topics: KafkaTopics;
  readonly #fetchers = new Map<number, Fetcher>();
  readonly #producers = new Set<KafkaProducer>();

  constructor(cluster: KafkaCluster) {
    this.#cluster = cluster;
    this.#topics = new KafkaTopics(cluster);
  }

  get maxMessageBytes(): number {
    return this.#cluster.settings.maxMessageBytes;
  }

  ensureTopic(name: string, partitions: number): Promise<TopicInfo> {
    return this.#topics.ensure(name, partitions);
  }

  topic(name: string): Promise<TopicInfo | undefined> {
    return this.#topics.info(name);
  }

  deleteTopic(name: string): Promise<void> {
    return this.#topics.delete(name);
  }

  async producer(): Promise<Producer> {
    this.#cluster.assertOpen();
    const producer = new KafkaProducer(this.#cluster, this.#topics, (ended) => this.#producers.delete(ended));
    this.#producers.add(producer);
    return producer;
  }

  async reader(topic: string, partition: number, offset: number): Promise<PartitionReader> {
    this.#cluster.forget(topic);
    const { topicId } = await this.#cluster.leader(topic, partition);
    return new KafkaReader(this.#cluster, (node) => this.#fetcher(node), { topic, topicId, partition }, offset);
  }

  async group(topic: string, group: string): Promise<GroupMember> {
    throw new Error(`no groups yet ${topic} ${group}`);
  }

  trim(topic: string, partition: number, before: number): Promise<void> {
    return this.#topics.trim(topic, partition, before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cluster.close();
    for (const fetcher of this.#fetchers.values()) fetcher.close();
    for (const producer of this.#producers) producer.abandon();
  }

  #fetcher(node: number): Fetcher {
    const known = this.#fetchers.get(node) ?? new Fetcher(this.#cluster, node);
    this.#fetchers.set(node, known);
    return known;
  }
}
