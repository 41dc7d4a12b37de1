import { type Message, type PartitionReader, PipelineError } from '@nanosync/core';
import { type KafkaCluster, lost } from './cluster.ts';
import { answerError, answerOf, hasMoved, isLost, pipelineError } from './errors.ts';
import type { Fetcher, FetchMode } from './fetcher.ts';
import { decodeBatches } from './record-batch.ts';

const RETRY_MS = 100;

/** The place that a reader reads from: one bus partition of one life of a topic. */
export interface ReadPlace {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** First readable offset and next offset now. */
  readonly range: () => Promise<{ readonly start: number; readonly end: number }>;
}

/**
 * Reads one bus partition by explicit offsets. A leader that moved or a connection that broke is followed from the same offset; a broker
 * that stays away is `unavailable`, after which reading goes on where it was.
 */
export class KafkaReader implements PartitionReader {
  readonly #cluster: KafkaCluster;
  readonly #fetchers: (node: number) => Fetcher;
  readonly #place: ReadPlace;
  readonly #mode: FetchMode = { once: false };
  readonly #disposed = new AbortController();
  #offset: number;
  /** What was read and did not fit into the last answer. */
  #held: readonly Message[] = [];
  /** A request that goes on while nobody waits for it: what it brings is for the next read. */
  #pending: Promise<readonly Message[]> | undefined;
  #lostSince: number | undefined;

  constructor(cluster: KafkaCluster, fetchers: (node: number) => Fetcher, place: ReadPlace, offset: number) {
    this.#cluster = cluster;
    this.#fetchers = fetchers;
    this.#place = place;
    this.#offset = offset;
  }

  async read(options: { readonly maxBytes: number; readonly waitMs: number; readonly signal?: AbortSignal }): Promise<readonly Message[]> {
    this.#cluster.assertOpen();
    if (this.#held.length > 0) return this.#take(options.maxBytes);
    const { clock } = this.#cluster.settings;
    const deadline = clock.monotonicMs() + options.waitMs;
    const signals = [this.#cluster.signal, this.#disposed.signal, ...(options.signal === undefined ? [] : [options.signal])];
    const ends = AbortSignal.any(signals);
    for (;;) {
      const left = deadline - clock.monotonicMs();
      if (ends.aborted) return [];
      const once = options.waitMs <= 0;
      this.#mode.once = once;
      this.#pending ??= this.#fetch(options.maxBytes);
      const arrived = await this.#orTime(once ? Number.MAX_SAFE_INTEGER : left, ends);
      if (arrived === undefined) {
        this.#cluster.assertOpen();
        return [];
      }
      this.#held = arrived;
      if (arrived.length > 0) return this.#take(options.maxBytes);
      if (once || clock.monotonicMs() >= deadline) return [];
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort();
    this.#held = [];
  }

  /** What the pending request brings, or undefined once time or signal end the wait; the request then goes on. */
  async #orTime(ms: number, ends: AbortSignal): Promise<readonly Message[] | undefined> {
    const over = new AbortController();
    const timer = this.#cluster.settings.clock.sleep(Math.max(0, ms), AbortSignal.any([over.signal, ends])).then(() => undefined);
    try {
      return await Promise.race([this.#outcome(), timer]);
    } finally {
      over.abort();
    }
  }

  async #outcome(): Promise<readonly Message[]> {
    const pending = this.#pending as Promise<readonly Message[]>;
    try {
      return await pending;
    } finally {
      if (this.#pending === pending) this.#pending = undefined;
    }
  }

  /** One request, tried again while the broker moves or is lost for a short time. Not awaited by everyone, so it is marked as handled. */
  #fetch(maxBytes: number): Promise<readonly Message[]> {
    const fetching = this.#fetchPatiently(maxBytes);
    fetching.catch(() => undefined);
    return fetching;
  }

  async #fetchPatiently(maxBytes: number): Promise<readonly Message[]> {
    const { settings } = this.#cluster;
    for (;;) {
      try {
        const messages = await this.#fetchOnce(maxBytes);
        this.#lostSince = undefined;
        return messages;
      } catch (error) {
        const what = `Could not read topic ${this.#place.topic}`;
        this.#cluster.assertOpen();
        if (!isLost(error) && !hasMoved(error)) throw pipelineError(error, what, settings);
        this.#cluster.forget(this.#place.topic);
        this.#lostSince ??= settings.clock.monotonicMs();
        if (settings.clock.monotonicMs() - this.#lostSince >= settings.patienceMs) {
          this.#lostSince = undefined;
          throw pipelineError(error, what, settings);
        }
        await settings.clock.sleep(RETRY_MS, AbortSignal.any([this.#cluster.signal, this.#disposed.signal]));
        if (this.#disposed.signal.aborted) throw lost('The reader is closed.');
      }
    }
  }

  async #fetchOnce(maxBytes: number): Promise<readonly Message[]> {
    const { topic, topicId, partition } = this.#place;
    const leader = await this.#cluster.leader(topic, partition);
    if (leader.topicId !== topicId)
      throw new PipelineError('gap', `Topic ${topic} was deleted and created again.`, {
        hint: 'Resnapshot the pipeline: what it needs is no longer on the bus.',
      });
    const want = { topicId, partition, offset: this.#offset, maxBytes: Math.max(1, Math.min(maxBytes, 0x7fff_ffff)) };
    const fetched = await this.#fetchers(leader.node).fetch(want, this.#mode);
    if (fetched.error === 0) return decodeBatches(fetched.records, this.#offset);
    throw await this.#failure(fetched.error);
  }

  async #failure(error: number): Promise<Error> {
    const { topic, partition, range } = this.#place;
    const failure = answerError(error, `Topic ${topic} partition ${partition}`);
    if (answerOf(failure) !== 'OFFSET_OUT_OF_RANGE') return failure;
    const found = await range().catch(() => undefined);
    const holds = found === undefined ? 'other offsets' : `offsets ${found.start} to ${found.end}`;
    return new PipelineError('gap', `Topic ${topic} partition ${partition} holds ${holds}, not ${this.#offset}.`, {
      hint: 'Resnapshot the pipeline: what it needs is no longer on the bus.',
    });
  }

  #take(maxBytes: number): readonly Message[] {
    let bytes = 0;
    let count = 0;
    for (const { key, value } of this.#held) {
      bytes += key.length + value.length;
      if (count > 0 && bytes > maxBytes) break;
      count++;
    }
    const taken = this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
    this.#offset = (taken.at(-1)?.offset ?? this.#offset - 1) + 1;
    return taken;
  }
}
