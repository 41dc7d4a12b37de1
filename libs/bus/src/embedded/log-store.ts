import { type Clock, type OutMessage, PipelineError, type Sent, type TopicInfo } from '@nanosync/core';
import { encodeChunks } from './chunk.ts';
import { Committer, type Work } from './committer.ts';
import { openDirectory } from './directory.ts';
import { IndexStore, type TopicRecord } from './index-store.ts';
import { type Placed, Segments } from './segments.ts';
import { partitionKey, Waiters } from './waiters.ts';

/** Says when an append must not happen, and hears of one that failed before any later one is tried. */
export interface AppendGuard {
  readonly check: () => void;
  readonly failed: (error: unknown) => void;
}

/** What the parts of one opened bus share. */
export class LogStore implements AsyncDisposable {
  readonly clock: Clock;
  readonly index: IndexStore;
  readonly segments: Segments;
  readonly committer: Committer;
  readonly waiters: Waiters;
  #closed = false;

  private constructor(clock: Clock, index: IndexStore, segments: Segments) {
    this.clock = clock;
    this.index = index;
    this.segments = segments;
    this.committer = new Committer(index, segments);
    this.waiters = new Waiters(clock);
  }

  static open(directory: string, clock: Clock, segmentBytes?: number): LogStore {
    const paths = openDirectory(directory);
    return new LogStore(clock, new IndexStore(paths.index), new Segments(paths.segments, segmentBytes));
  }

  /** Throws once the bus is closed. */
  assertOpen(): void {
    if (this.#closed) throw new PipelineError('unavailable', 'The bus is closed.');
  }

  /** Does work in the next commit, see {@link Committer}. */
  submit<T>(work: Work<T>): Promise<T> {
    this.assertOpen();
    return this.committer.submit(work);
  }

  /** The topic's record; throws `gap` when there is none. */
  requireTopic(name: string): TopicRecord {
    this.assertOpen();
    const topic = this.index.topic(name);
    if (topic === undefined) throw noTopic(name);
    return topic;
  }

  info(name: string): TopicInfo | undefined {
    this.assertOpen();
    this.index.refresh();
    const topic = this.index.topic(name);
    if (topic === undefined) return undefined;
    const partitions = Array.from({ length: topic.partitions }, (_, partition) => this.index.range(topic.no, partition));
    return { name, id: topic.id, partitions };
  }

  /** Appends messages to a bus partition, unless the guard throws when their turn has come. */
  async append(name: string, partition: number, messages: readonly OutMessage[], guard: AppendGuard): Promise<Sent> {
    const topic = this.requireTopic(name);
    requirePartition(name, topic, partition);
    const chunks = encodeChunks(messages);
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
    const timestampMs = this.clock.nowMs();
    const apply = (placed: readonly Placed[]): Sent => {
      guard.check();
      this.#requireSame(name, topic);
      const range = this.index.range(topic.no, partition);
      const live = new Map<number, number>();
      for (const { segment } of placed) live.set(segment, (live.get(segment) ?? this.#requireSegment(segment)) + 1);
      let end = range.end;
      for (const [at, chunk] of chunks.entries()) {
        end += chunk.count;
        const place = placed[at] as Placed;
        this.index.putChunk(topic.no, partition, { ...place, end, count: chunk.count, length: chunk.bytes, crc: chunk.crc, timestampMs });
      }
      for (const [segment, count] of live) this.index.setSegment(segment, topic.no, count);
      if (end !== range.end) this.index.setRange(topic.no, partition, { start: range.start, end });
      return { end };
    };
    const append = chunks.length > 0 ? { append: { topicNo: topic.no, chunks, bytes } } : {};
    const sent = await this.submit({ ...append, apply, failed: guard.failed });
    this.waiters.wake(partitionKey(topic.no, partition));
    return sent;
  }

  #requireSame(name: string, topic: TopicRecord): void {
    if (this.index.topic(name)?.id !== topic.id) throw noTopic(name);
  }

  #requireSegment(segment: number): number {
    const live = this.index.liveChunks(segment);
    if (live === undefined)
      throw new PipelineError('conflict', 'Another process removed the file that was just written; the send is void.');
    return live;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.waiters.close();
    await this.committer.idle();
    await this.segments[Symbol.asyncDispose]();
    await this.index[Symbol.asyncDispose]();
  }
}

/** Throws unless the topic has this bus partition. */
export function requirePartition(name: string, topic: TopicRecord, partition: number): void {
  if (Number.isInteger(partition) && partition >= 0 && partition < topic.partitions) return;
  throw new PipelineError('defect', `Topic ${name} has ${topic.partitions} partitions, there is no partition ${partition}.`);
}

/** The error of a topic that is not, or no longer, there. */
export function noTopic(name: string): PipelineError {
  return new PipelineError('gap', `Topic ${name} is not on the bus.`, { hint: 'Resnapshot the pipeline if it was removed by hand.' });
}
