import type { Bus, GroupMember, PartitionReader, Problem, Producer, TopicInfo } from '@nanosync/core';
import { KafkaCluster } from './cluster.ts';
import { Fetcher } from './fetcher.ts';
import { KafkaMember } from './group-member.ts';
import { type KafkaBusOptions, settingsOf } from './options.ts';
import { KafkaProducer } from './producer.ts';
import { KafkaReader, type ReadPlace } from './reader.ts';
import { maxMessageBytes } from './record-batch.ts';
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
  readonly #members = new Set<KafkaMember>();
  readonly #producers = new Set<KafkaProducer>();

  constructor(cluster: KafkaCluster) {
    this.#cluster = cluster;
    this.#topics = new KafkaTopics(cluster);
  }

  get maxMessageBytes(): number {
    return maxMessageBytes(this.#cluster.settings.maxMessageBytes);
  }

  check(topics: readonly string[]): Promise<readonly Problem[]> {
    return this.#topics.check(topics);
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
    return this.#reader({ topic, topicId, partition }, offset);
  }

  async group(topic: string, group: string): Promise<GroupMember> {
    this.#cluster.forget(topic);
    const { topicId } = await this.#cluster.leader(topic, 0);
    const read = (partition: number, offset: number) => this.#reader({ topic, topicId, partition }, offset);
    const ended = (member: KafkaMember) => this.#members.delete(member);
    // Kafka's groups know no topics: one shared by two deployments, whose topics differ, would give each the other's bus partitions.
    const name = `${topic}.${group}`;
    const member = new KafkaMember({ cluster: this.#cluster, topics: this.#topics, topic, group: name, read, ended });
    this.#members.add(member);
    return member;
  }

  trim(topic: string, partition: number, before: number): Promise<void> {
    return this.#topics.trim(topic, partition, before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.#members].map((member) => member[Symbol.asyncDispose]()));
    this.#cluster.close();
    for (const fetcher of this.#fetchers.values()) fetcher.close();
    for (const producer of this.#producers) producer.abandon();
  }

  #reader(place: Omit<ReadPlace, 'range'>, offset: number): KafkaReader {
    const range = () => this.#topics.range(place.topic, place.partition);
    return new KafkaReader(this.#cluster, (node) => this.#fetcher(node), { ...place, range }, offset);
  }

  #fetcher(node: number): Fetcher {
    const known = this.#fetchers.get(node) ?? new Fetcher(this.#cluster, node);
    this.#fetchers.set(node, known);
    return known;
  }
}
