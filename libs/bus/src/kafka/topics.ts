import { PipelineError, type Problem, type TopicInfo } from '@nanosync/core';
import type { KafkaCluster } from './cluster.ts';
import { answerOf } from './errors.ts';
import type { Link } from './link.ts';
import type { TopicMetadata } from './metadata.ts';

const EARLIEST = -2;
const LATEST = -1;
/** Of topics that others may have made. */
const CHECKED_SETTINGS = ['max.message.bytes', 'cleanup.policy', 'retention.ms', 'retention.bytes'];
const TOPIC_RESOURCE = 2;
const LOOK_MS = 20;

/** Topics of the cluster: created with everything that matters stated, so that no broker's default decides about it. */
export class KafkaTopics {
  readonly #cluster: KafkaCluster;
  /** Ids of topics whose limits were found fit. */
  readonly #fit = new Set<string>();

  constructor(cluster: KafkaCluster) {
    this.#cluster = cluster;
  }

  async ensure(name: string, partitions: number): Promise<TopicInfo> {
    if (!Number.isInteger(partitions) || partitions < 1) throw new PipelineError('defect', `A topic cannot have ${partitions} partitions.`);
    const found = (await this.#look(name)) ?? (await this.#create(name, partitions));
    if (found.leaders.length !== partitions)
      throw new PipelineError(
        'gap',
        `Topic ${name} has ${found.leaders.length} partitions, not ${partitions}: keys would change their place.`,
        { hint: 'Set the number of partitions back, or delete and resnapshot the pipeline.' },
      );
    await this.#checkLimits(found);
    return this.#info(found);
  }

  async info(name: string): Promise<TopicInfo | undefined> {
    const found = await this.#look(name);
    return found === undefined ? undefined : this.#info(found);
  }

  /** Deletes the topic and returns once the brokers no longer name it. */
  async delete(name: string): Promise<void> {
    const found = await this.#look(name);
    if (found === undefined) return;
    await this.#cluster.patiently(`delete topic ${name}`, async () => {
      await this.#controller((broker) => broker.deleteTopics({ topics: [name], timeout: 5000 }), 'UNKNOWN_TOPIC_OR_PARTITION');
      return true;
    });
    while ((await this.#look(name))?.id === found.id) await this.#cluster.settings.clock.sleep(LOOK_MS, this.#cluster.signal);
  }

  /** Removes messages below `before`; below the start there is nothing to do. */
  async trim(name: string, partition: number, before: number): Promise<void> {
    const { end } = await this.range(name, partition);
    if (before > end)
      throw new PipelineError('gap', `Topic ${name} partition ${partition} ends at ${end}: it cannot be trimmed to ${before}.`);
    await this.#atLeader(name, partition, `trim topic ${name}`, async (link) => {
      const topics = [{ topic: name, partitions: [{ partition, offset: String(before) }] }];
      await link.call((broker) => broker.deleteRecords({ topics })).catch(passOutOfRange);
      return true;
    });
  }

  /** First readable offset and next offset of one bus partition. */
  async range(name: string, partition: number): Promise<{ readonly start: number; readonly end: number }> {
    return this.#atLeader(name, partition, `ask for the offsets of topic ${name}`, async (link) => {
      const [start, end] = await offsets(link, name, [
        [partition, EARLIEST],
        [partition, LATEST],
      ]);
      return { start: start as number, end: end as number };
    });
  }

  async #look(name: string): Promise<TopicMetadata | undefined> {
    const { found } = await this.#cluster.patiently(`look for topic ${name}`, async () => ({ found: await this.#cluster.topic(name) }));
    return found;
  }

  async #create(name: string, partitions: number): Promise<TopicMetadata> {
    const { replicationFactor, maxMessageBytes } = this.#cluster.settings;
    const configs: Readonly<Record<string, string | number>> = {
      'cleanup.policy': 'delete',
      'compression.type': 'producer',
      'max.message.bytes': maxMessageBytes,
      'message.timestamp.type': 'LogAppendTime',
      'min.insync.replicas': Math.min(2, replicationFactor),
      'retention.bytes': -1,
      'retention.ms': -1,
      'unclean.leader.election.enable': 'false',
    };
    const configEntries = Object.entries(configs).map(([entry, value]) => ({ name: entry, value: String(value) }));
    const topics = [{ topic: name, numPartitions: partitions, replicationFactor, configEntries }];
    return this.#cluster.patiently(`create topic ${name}`, async () => {
      await this.#controller((broker) => broker.createTopics({ topics, timeout: 5000 }), 'TOPIC_ALREADY_EXISTS');
      const created = await this.#cluster.topic(name);
      return created?.leaders.every((leader) => leader >= 0) ? created : undefined;
    });
  }

  /** Asks the controller; one answer is as good as success: someone else was first. */
  async #controller(request: Parameters<typeof Link.prototype.call>[0], orAnswer: string): Promise<void> {
    const link = await this.#cluster.controller();
    await link.call(request).catch((error: unknown) => {
      if (!answersOf(error).includes(orAnswer)) throw answersOf(error).length > 0 ? firstOf(error) : error;
    });
  }

  /** A topic made by others may take smaller messages than we send, or lose some by itself; better said now than in the middle. */
  async #checkLimits(topic: TopicMetadata): Promise<void> {
    if (this.#fit.has(topic.id)) return;
    for (const { what, cure, mild } of await this.#problemsOf(topic.name)) {
      if (mild === undefined) throw new PipelineError('prerequisite', what, { hint: cure });
      this.#cluster.settings.log.warn('kafka may lose messages', { topic: topic.name, reason: what, cure });
    }
    this.#fit.add(topic.id);
  }

  /** What is wrong with the cluster, and with these topics where they exist. */
  async check(names: readonly string[]): Promise<readonly Problem[]> {
    const { replicationFactor } = this.#cluster.settings;
    const problems: Problem[] = [];
    const brokers = await this.#cluster.patiently('count the brokers', () => this.#cluster.brokers());
    if (replicationFactor > brokers)
      problems.push({
        what: `Topics are to have ${replicationFactor} copies, and Kafka has ${brokers} brokers.`,
        cure: 'Add brokers, or lower bus.kafka.replication_factor in the server file.',
      });
    else if (replicationFactor < 3)
      problems.push({
        what: `Topics have ${replicationFactor === 1 ? 'one copy' : `${replicationFactor} copies`}, so the loss of ${replicationFactor === 1 ? 'a broker' : 'two brokers'} is the loss of messages.`,
        cure: 'Run three brokers and set bus.kafka.replication_factor to 3 before topics are made.',
        mild: true,
      });
    for (const name of names) if ((await this.#look(name)) !== undefined) problems.push(...(await this.#problemsOf(name)));
    return problems;
  }

  async #problemsOf(name: string): Promise<readonly Problem[]> {
    const { maxMessageBytes } = this.#cluster.settings;
    const settings = await this.#settingsOf(name);
    const problems: Problem[] = [];
    const limit = Number(settings.get('max.message.bytes') ?? maxMessageBytes);
    if (limit < maxMessageBytes)
      problems.push({
        what: `Topic ${name} takes messages of ${limit} bytes, nanosync sends up to ${maxMessageBytes}.`,
        cure: `Set max.message.bytes of the topic to ${maxMessageBytes}, or lower the limit of the bus in the server file.`,
      });
    if (settings.get('cleanup.policy')?.includes('compact') === true)
      problems.push({
        what: `Topic ${name} is compacted: Kafka removes messages of it that are needed.`,
        cure: 'Set cleanup.policy of the topic to delete.',
      });
    if (['retention.ms', 'retention.bytes'].some((one) => Number(settings.get(one) ?? -1) >= 0))
      problems.push({
        what: `Kafka removes messages of topic ${name} by itself, needed or not.`,
        cure: 'Set retention.ms and retention.bytes of the topic to -1.',
        mild: true,
      });
    return problems;
  }

  /** The settings that matter to us; none for a user that may not look. */
  async #settingsOf(name: string): Promise<ReadonlyMap<string, string>> {
    const resources = [{ type: TOPIC_RESOURCE, name, configNames: CHECKED_SETTINGS }];
    return this.#cluster.patiently(`read the settings of topic ${name}`, async () => {
      const answer = await this.#cluster.any((link) => link.call((broker) => broker.describeConfigs({ resources }))).catch(passForbidden);
      const entries = answer?.resources[0]?.configEntries ?? [];
      return new Map(entries.map(({ configName, configValue }) => [configName, configValue] as const));
    });
  }

  async #info({ name, id, leaders }: TopicMetadata): Promise<TopicInfo> {
    const partitions = await Promise.all(leaders.map((_, partition) => this.range(name, partition)));
    return { name, id, partitions };
  }

  async #atLeader<T>(name: string, partition: number, what: string, request: (link: Link) => Promise<T>): Promise<T> {
    return this.#cluster.patiently(what, async () => {
      const { node } = await this.#cluster.leader(name, partition);
      try {
        return await request(this.#cluster.link(node));
      } catch (error) {
        this.#cluster.forget(name);
        throw error;
      }
    });
  }
}

async function offsets(link: Link, topic: string, wanted: readonly (readonly [partition: number, timestamp: number])[]): Promise<number[]> {
  const found: number[] = [];
  for (const [partition, timestamp] of wanted) {
    const topics = [{ topic, partitions: [{ partition, timestamp }] }];
    const answer = await link.call((broker) => broker.listOffsets({ isolationLevel: 0, topics }));
    found.push(Number(answer.responses[0]?.partitions[0]?.offset));
  }
  return found;
}

/** kafkajs gathers what several topics were answered in one error. */
function answersOf(error: unknown): readonly string[] {
  const inner = (error as { readonly errors?: readonly unknown[] }).errors ?? [error];
  return inner.flatMap((one) => answerOf(one) ?? []);
}

function firstOf(error: unknown): unknown {
  return (error as { readonly errors?: readonly unknown[] }).errors?.[0] ?? error;
}

/** Below the start: it was trimmed further already. */
function passOutOfRange(error: unknown): void {
  const { partitions } = error as { readonly partitions?: readonly { readonly error: unknown }[] };
  const answers = (partitions ?? []).map((one) => answerOf(one.error));
  if (answers[0] !== 'OFFSET_OUT_OF_RANGE') throw partitions?.[0]?.error ?? error;
}

/** A user that may not look at settings finds out about them when it sends. */
function passForbidden(error: unknown): undefined {
  if (answerOf(error)?.endsWith('AUTHORIZATION_FAILED') !== true) throw error;
}
