import { type Message, type PartitionReader, PipelineError } from '@nanosync/core';
import { decodeChunk } from './chunk.ts';
import type { ChunkEntry, TopicRecord } from './index-store.ts';
import { type LogStore, noTopic } from './log-store.ts';
import { partitionKey } from './waiters.ts';

/** The place that a reader reads from. */
export interface ReadPlace {
  readonly name: string;
  readonly topic: TopicRecord;
  readonly partition: number;
}

/** Reads one bus partition of one life of a topic. */
export class EmbeddedReader implements PartitionReader {
  readonly #store: LogStore;
  readonly #place: ReadPlace;
  #offset: number;
  /** What was read of a chunk and did not fit into the last answer. */
  #held: readonly Message[] = [];

  constructor(store: LogStore, place: ReadPlace, offset: number) {
    this.#store = store;
    this.#place = place;
    this.#offset = offset;
  }

  async read(options: { readonly maxBytes: number; readonly waitMs: number; readonly signal?: AbortSignal }): Promise<readonly Message[]> {
    const { clock, waiters } = this.#store;
    const deadline = clock.monotonicMs() + options.waitMs;
    for (;;) {
      const messages = await this.#next(options.maxBytes);
      const left = deadline - clock.monotonicMs();
      if (messages.length > 0 || left <= 0 || options.signal?.aborted) return messages;
      await waiters.wait([partitionKey(this.#place.topic.no, this.#place.partition)], left, options.signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#held = [];
  }

  async #next(maxBytes: number): Promise<readonly Message[]> {
    const entries = this.#look(this.#held.length > 0 ? 0 : maxBytes);
    if (this.#held.length === 0 && entries.length > 0) {
      const messages = await this.#fetch(entries);
      this.#held = messages.filter((message) => message.offset >= this.#offset);
    }
    const taken = takeBytes(this.#held, maxBytes);
    this.#held = this.#held.slice(taken.length);
    this.#offset = (taken.at(-1)?.offset ?? this.#offset - 1) + 1;
    return taken;
  }

  /** The chunks to read next, after the checks that a reader must not get past. */
  #look(maxBytes: number): readonly ChunkEntry[] {
    const { index } = this.#store;
    const { name, topic, partition } = this.#place;
    this.#store.assertOpen();
    index.refresh();
    if (index.topic(name)?.id !== topic.id) throw noTopic(name);
    const { start, end } = index.range(topic.no, partition);
    // Invariant 'no-silent-gap': a reader never goes on elsewhere.
    if (this.#offset < start || this.#offset > end) {
      throw new PipelineError('gap', `Topic ${name} partition ${partition} holds offsets ${start} to ${end}, not ${this.#offset}.`, {
        hint: 'Resnapshot the pipeline: what it needs is no longer on the bus.',
      });
    }
    const entries: ChunkEntry[] = [];
    if (maxBytes <= 0 || this.#offset === end) return entries;
    let bytes = 0;
    for (const entry of index.chunks(topic.no, partition, this.#offset)) {
      if (entries.length > 0 && bytes + entry.length > maxBytes) break;
      entries.push(entry);
      bytes += entry.length;
    }
    return entries;
  }

  /** Reads chunks, neighbours in one segment at once. */
  async #fetch(entries: readonly ChunkEntry[]): Promise<readonly Message[]> {
    const messages: Message[] = [];
    for (let from = 0; from < entries.length; ) {
      const first = entries[from] as ChunkEntry;
      let to = from + 1;
      let length = first.length;
      while (entries[to]?.segment === first.segment && entries[to]?.position === first.position + length)
        length += entries[to++]?.length ?? 0;
      const bytes = await this.#store.segments.read(first.segment, first.position, length);
      for (const entry of entries.slice(from, to)) {
        const at = entry.position - first.position;
        const decoded = bytes && decodeChunk(bytes.subarray(at, at + entry.length), { ...entry, base: entry.end - entry.count });
        if (decoded === undefined) throw this.#damaged(entry);
        for (const message of decoded) messages.push(message);
      }
      from = to;
    }
    return messages;
  }

  #damaged(entry: ChunkEntry): PipelineError {
    this.#look(0); // Trimmed or deleted meanwhile: that is the better reason.
    const { name, partition } = this.#place;
    return new PipelineError(
      'gap',
      `Topic ${name} partition ${partition} is damaged on disk in segment ${entry.segment} at ${entry.position}.`,
      {
        hint: 'Resnapshot the pipeline: what it needs is no longer on the bus.',
      },
    );
  }
}

function takeBytes(messages: readonly Message[], maxBytes: number): readonly Message[] {
  let bytes = 0;
  let count = 0;
  for (const { key, value } of messages) {
    bytes += key.length + value.length;
    if (count > 0 && bytes > maxBytes) break;
    count++;
  }
  return count === messages.length ? messages : messages.slice(0, count);
}
