import { type OutMessage, PipelineError, type Producer, refuseTooLarge, type Sent } from '@nanosync/core';
import type { KafkaCluster } from './cluster.ts';
import { pipelineError } from './errors.ts';
import { BATCH_BYTES, batchBytes, encodeBatch, maxMessageBytes, RECORD_BYTES } from './record-batch.ts';
import { Sender } from './sender.ts';
import type { KafkaTopics } from './topics.ts';

/** A topic whose messages did not shrink is tried again only every so many batches. */
const COMPRESS_AGAIN = 32;
/** How long a closing producer waits for answers. */
const CLOSE_MS = 2000;

/**
 * Sends in order, one batch of a bus partition under way, acknowledged by all replicas. Not idempotent: after a send that failed or
 * stayed unanswered nothing more is sent, so that nothing can follow a gap, and nothing is ever sent twice.
 */
export class KafkaProducer implements Producer {
  readonly #cluster: KafkaCluster;
  readonly #topics: KafkaTopics;
  readonly #ended: (producer: KafkaProducer) => void;
  readonly #senders = new Map<number, Sender>();
  readonly #partitions = new Map<string, Promise<unknown>>();
  readonly #pending = new Set<Promise<Sent>>();
  readonly #incompressible = new Map<string, number>();
  #finding: Promise<unknown> = Promise.resolve();
  #failed: { readonly send: number; readonly cause: unknown } | undefined;
  #sends = 0;
  #closed = false;

  constructor(cluster: KafkaCluster, topics: KafkaTopics, ended: (producer: KafkaProducer) => void) {
    this.#cluster = cluster;
    this.#topics = topics;
    this.#ended = ended;
  }

  async send(topic: string, partition: number, messages: readonly OutMessage[]): Promise<Sent> {
    this.#cluster.assertOpen();
    if (this.#closed) throw new PipelineError('conflict', 'The producer is closed.');
    const sending = this.#send(this.#sends++, topic, partition, messages);
    this.#pending.add(sending);
    try {
      return await sending;
    } finally {
      this.#pending.delete(sending);
    }
  }

  /** Ends the producer once its sends have ended; after a failure, or when answers stay out, at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    if (this.#failed === undefined && this.#pending.size > 0) {
      const over = new AbortController();
      const late = this.#cluster.settings.clock.sleep(CLOSE_MS, AbortSignal.any([over.signal, this.#cluster.signal]));
      await Promise.race([Promise.allSettled(this.#pending), late]);
      over.abort();
    }
    this.abandon();
  }

  /** Ends the producer without waiting for answers. */
  abandon(): void {
    this.#closed = true;
    for (const sender of this.#senders.values()) sender.close();
    this.#ended(this);
  }

  /** Leaders are found in the order of the calls, so that a send to a topic that is gone stops what was given after it. */
  async #send(send: number, topic: string, partition: number, messages: readonly OutMessage[]): Promise<Sent> {
    const place = `${topic}/${partition}`;
    const finding = this.#finding.then(() => this.#attempt(send, topic, async () => this.#cluster.leader(topic, partition)));
    this.#finding = finding.catch(() => undefined);
    const before = this.#partitions.get(place);
    const sending = finding.then(async ({ node }) => {
      // Invariant 'gapless-sessions': a second request of a bus partition under way could arrive where the first did not.
      await before;
      return this.#attempt(send, topic, () => this.#transmit(topic, partition, node, messages));
    });
    this.#partitions.set(
      place,
      sending.catch(() => undefined),
    );
    return sending;
  }

  /** Runs a step of a send unless an earlier send failed; a failure is the end of the producer. */
  async #attempt<T>(send: number, topic: string, step: () => Promise<T>): Promise<T> {
    try {
      // Invariant 'gapless-sessions': nothing follows a send that failed or was not answered.
      if (this.#failed !== undefined && this.#failed.send < send)
        throw new PipelineError('conflict', 'An earlier send of this producer failed, so it sends no more.', { cause: this.#failed.cause });
      return await step();
    } catch (cause) {
      if (this.#failed === undefined || this.#failed.send > send) this.#failed = { send, cause };
      this.#cluster.forget(topic);
      this.#cluster.assertOpen();
      throw pipelineError(cause, `Could not send to topic ${topic}`, this.#cluster.settings);
    }
  }

  async #transmit(topic: string, partition: number, node: number, messages: readonly OutMessage[]): Promise<Sent> {
    if (messages.length === 0) return { end: (await this.#topics.range(topic, partition)).end };
    let end = 0;
    for (const chunk of this.#chunks(topic, messages)) {
      const { bytes, count, plainBytes } = await encodeBatch(chunk, this.#cluster.settings.clock.nowMs(), this.#isWorthCompressing(topic));
      this.#remember(topic, bytes.length / plainBytes);
      end = (await this.#sender(node).send({ topic, partition, bytes })) + count;
    }
    return { end };
  }

  /** As many messages in one batch as the brokers take; a batch is the unit of their limit. */
  #chunks(topic: string, messages: readonly OutMessage[]): readonly (readonly OutMessage[])[] {
    const limit = this.#cluster.settings.maxMessageBytes;
    if (batchBytes(messages) <= limit) return [messages];
    refuseTooLarge(topic, messages, maxMessageBytes(limit));
    const chunks: OutMessage[][] = [];
    let size = Number.POSITIVE_INFINITY;
    for (const message of messages) {
      const bytes = message.key.length + message.value.length + RECORD_BYTES;
      if (size + bytes > limit) {
        chunks.push([]);
        size = BATCH_BYTES;
      }
      chunks.at(-1)?.push(message);
      size += bytes;
    }
    return chunks;
  }

  #isWorthCompressing(topic: string): boolean {
    const skipped = this.#incompressible.get(topic);
    if (skipped === undefined || skipped >= COMPRESS_AGAIN) return true;
    this.#incompressible.set(topic, skipped + 1);
    return false;
  }

  #remember(topic: string, ratio: number): void {
    const skipped = this.#incompressible.get(topic);
    if (ratio < 0.9) this.#incompressible.delete(topic);
    else if (skipped === undefined || skipped >= COMPRESS_AGAIN) this.#incompressible.set(topic, 0);
  }

  #sender(node: number): Sender {
    const open = this.#senders.get(node);
    if (open !== undefined) return open;
    const sender = new Sender(this.#cluster, node);
    this.#senders.set(node, sender);
    return sender;
  }
}
