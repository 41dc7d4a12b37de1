import { type Message, PipelineError } from '@nanosync/core';
import { type GroupProgress, isDone, withDone } from '../group-progress.ts';
import type { TopicRecord } from './index-store.ts';
import type { LogStore } from './log-store.ts';
import { EmbeddedReader } from './partition-reader.ts';
import { partitionKey } from './waiters.ts';

const FETCH_BYTES = 262_144;

/** A message of one bus partition, on its way to a member. */
export interface Handout {
  readonly partition: number;
  readonly message: Message;
}

interface Cursor {
  readonly partition: number;
  readonly reader: EmbeddedReader;
}

/**
 * What the members of one group in this process share: every message is with at most one of them. What is done is stored; what
 * is merely handed out is not, so after a crash it is handed out again.
 */
export class GroupQueue {
  readonly #store: LogStore;
  readonly #topicName: string;
  readonly #topic: TopicRecord;
  readonly #group: string;
  readonly #cursors: readonly Cursor[];
  readonly #ready: Handout[] = [];
  #turn = 0;
  #filling: Promise<void> | undefined;

  constructor(store: LogStore, topicName: string, topic: TopicRecord, group: string) {
    this.#store = store;
    this.#topicName = topicName;
    this.#topic = topic;
    this.#group = group;
    this.#cursors = Array.from({ length: topic.partitions }, (_, partition) => ({
      partition,
      reader: new EmbeddedReader(store, { name: topicName, topic, partition }, this.#progress(partition).next),
    }));
  }

  /** The next message that no member has, or undefined once the signal aborts. */
  async take(signal: AbortSignal): Promise<Handout | undefined> {
    for (;;) {
      if (signal.aborted) return undefined;
      const handout = this.#ready.shift();
      if (handout !== undefined) return handout;
      this.#filling ??= this.#fill().finally(() => {
        this.#filling = undefined;
      });
      await this.#filling;
      if (this.#ready.length === 0) await this.#store.waiters.wait(this.#wakeKeys(), Number.MAX_SAFE_INTEGER, signal);
    }
  }

  /** Takes back what a member got and did not finish. */
  giveBack(handouts: readonly Handout[]): void {
    this.#ready.unshift(...handouts);
    if (handouts.length > 0) this.#store.waiters.wake(this.#groupKey);
  }

  /** Stores that a message is done; resolves when that is on disk. */
  async done(partition: number, offset: number): Promise<void> {
    await this.#store.submit({
      apply: () => {
        if (this.#store.index.topic(this.#topicName)?.id !== this.#topic.id) return; // Deleted, and its work with it.
        this.#store.index.put(this.#progressName(partition), withDone(this.#progress(partition), offset));
      },
    });
  }

  /** Fills up from the first bus partition, in turn, that has messages. */
  async #fill(): Promise<void> {
    for (let tried = 0; tried < this.#cursors.length && this.#ready.length === 0; tried++) {
      const { partition, reader } = this.#cursors[this.#turn++ % this.#cursors.length] as Cursor;
      const messages = await reader.read({ maxBytes: FETCH_BYTES, waitMs: 0 });
      const progress = this.#progress(partition);
      for (const message of messages) if (!isDone(progress, message.offset)) this.#ready.push({ partition, message });
      if (messages.length > 0 && this.#ready.length === 0) tried = -1; // All were done before: look further.
    }
  }

  #progress(partition: number): GroupProgress {
    const stored = this.#store.index.get<GroupProgress>(this.#progressName(partition));
    return stored ?? { next: this.#store.index.range(this.#topic.no, partition).start, done: [] };
  }

  #progressName(partition: number): string {
    return `group:${this.#topic.no}/${partition}/${this.#group}`;
  }

  get #groupKey(): string {
    return `group:${this.#topic.no}/${this.#group}`;
  }

  #wakeKeys(): readonly string[] {
    return [this.#groupKey, ...this.#cursors.map(({ partition }) => partitionKey(this.#topic.no, partition))];
  }
}

/** The error of a member that acts after its end: its messages may be with another one by then. */
export function memberEnded(): PipelineError {
  return new PipelineError('conflict', 'The group member has ended; its messages went to another.');
}
