import type { Bus, CaptureRecord, OutMessage, Producer } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';

/** What a flush left behind on the bus. */
export interface Sent {
  readonly ends: CaptureRecord['ends'];
  readonly topics: CaptureRecord['topics'];
  readonly events: number;
}

/** Messages gathered per bus partition and sent in order, one send per bus partition at a time. */
export class Outbox implements AsyncDisposable {
  private readonly bus: Bus;
  private readonly producer: Producer;
  private readonly waiting = new Map<string, OutMessage[][]>();
  private readonly ends = new Map<string, number[]>();
  private readonly topicIds = new Map<string, string>();
  private count = 0;
  private size = 0;

  private constructor(bus: Bus, producer: Producer) {
    this.bus = bus;
    this.producer = producer;
  }

  static async open(bus: Bus): Promise<Outbox> {
    return new Outbox(bus, await bus.producer());
  }

  /** Messages that wait for a flush. */
  get messages(): number {
    return this.count;
  }

  get bytes(): number {
    return this.size;
  }

  add(topic: string, partition: number, key: Uint8Array, value: Uint8Array): void {
    let partitions = this.waiting.get(topic);
    if (partitions === undefined) {
      partitions = [];
      this.waiting.set(topic, partitions);
    }
    let messages = partitions[partition];
    if (messages === undefined) {
      messages = [];
      partitions[partition] = messages;
    }
    messages.push({ key, value });
    this.count++;
    this.size += key.length + value.length;
  }

  /** Sends everything; after a failure the session, and with it the producer, is over. */
  async flush(): Promise<Sent> {
    const batches = [...this.waiting].flatMap(([topic, partitions]) =>
      partitions.map((messages, partition) => ({ topic, partition, messages })),
    );
    const events = this.count;
    this.waiting.clear();
    this.count = 0;
    this.size = 0;
    const topics = [...new Set(batches.map(({ topic }) => topic))];
    for (const topic of topics) await this.learn(topic);
    await Promise.all(
      batches
        .filter(({ messages }) => messages !== undefined)
        .map(async ({ topic, partition, messages }) => {
          // Invariant 'gapless-sessions': one send of a bus partition at a time; a failure is the end of the session.
          const { end } = await this.producer.send(topic, partition, messages);
          const ends = this.ends.get(topic) as number[];
          const before = ends[partition] ?? 0;
          // Others may have sent in between, so it may end further on; where it ends before, acknowledged messages are gone.
          // Invariant 'no-silent-gap': the bus lost messages that it had acknowledged.
          if (end < before + messages.length)
            throw new PipelineError('gap', `Partition ${partition} of topic ${topic} has lost its newest messages.`);
          ends[partition] = end;
        }),
    );
    return {
      ends: Object.fromEntries(topics.map((topic) => [topic, [...(this.ends.get(topic) ?? [])]])),
      topics: Object.fromEntries(topics.map((topic) => [topic, this.topicIds.get(topic) ?? ''])),
      events,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.producer[Symbol.asyncDispose]();
  }

  private async learn(topic: string): Promise<void> {
    if (this.topicIds.has(topic)) return;
    const info = await this.bus.topic(topic);
    if (info === undefined) throw new PipelineError('gap', `Topic ${topic} is gone.`);
    this.topicIds.set(topic, info.id);
    this.ends.set(
      topic,
      info.partitions.map(({ end }) => end),
    );
  }
}
