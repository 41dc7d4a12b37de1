import type { Bus, Message, PartitionReader } from '@nanosync/core';
import { isKind } from '@nanosync/core';
import type { MessageDecoder } from './decoder.ts';
import type { TapEntry } from './entry.ts';
import { positionOfEntry } from './filter.ts';
import type { TapTopic } from './selection.ts';

const READ_BYTES = 1_048_576;

/** A message with what it was decoded to. `session` and `position` order the messages of change topics. */
export interface Head {
  readonly message: Message;
  readonly entries: readonly TapEntry[];
  readonly session: number;
  readonly position: string;
}

/** What a stream works with. */
export interface StreamParts {
  readonly bus: Bus;
  readonly decoder: MessageDecoder;
  readonly topic: TapTopic;
  readonly busPartition: number;
  /** Says in a sentence what the user must know, such as that messages were removed. */
  readonly note: (sentence: string) => void;
  readonly signal: AbortSignal;
}

/** One bus partition, message by message, from an offset to an end that may move. */
export class TapStream implements AsyncDisposable {
  readonly topic: TapTopic;
  readonly busPartition: number;
  /** The next message, once {@link fill} has found one. */
  head: Head | undefined;
  readonly #parts: StreamParts;
  #reader: PartitionReader | undefined;
  #waiting: Message[] = [];
  #next: number;
  #end: number;

  constructor(parts: StreamParts, range: { readonly start: number; readonly end: number }) {
    this.#parts = parts;
    this.topic = parts.topic;
    this.busPartition = parts.busPartition;
    this.#next = range.start;
    this.#end = range.end;
  }

  /** True when everything up to the end was taken. */
  get done(): boolean {
    return this.head === undefined && this.#waiting.length === 0 && this.#next >= this.#end;
  }

  /** Goes on behind the end, for good. */
  follow(): void {
    this.#end = Number.POSITIVE_INFINITY;
  }

  /** Makes `head` the next message, waiting at most so long for one. */
  async fill(waitMs: number): Promise<void> {
    if (this.head !== undefined || this.done) return;
    if (this.#waiting.length === 0) this.#waiting = await this.#read(waitMs);
    const message = this.#waiting.shift();
    if (message !== undefined) this.head = await this.#decode(message);
  }

  /** Gives the head away. */
  take(): Head {
    const head = this.head as Head;
    this.head = undefined;
    return head;
  }

  /** True when {@link fill} has something without reading. */
  get hasMore(): boolean {
    return this.head !== undefined || this.#waiting.length > 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader?.[Symbol.asyncDispose]();
  }

  async #read(waitMs: number): Promise<Message[]> {
    const { bus, topic, busPartition, signal } = this.#parts;
    try {
      this.#reader ??= await bus.reader(topic.name, busPartition, this.#next);
      const messages = await this.#reader.read({ maxBytes: READ_BYTES, waitMs, signal });
      this.#next = (messages.at(-1)?.offset ?? this.#next - 1) + 1;
      // Offsets below an end that was seen are not all messages to every bus: nothing more in time means that there is nothing.
      if (messages.length === 0 && Number.isFinite(this.#end)) this.#next = this.#end;
      return messages.filter(({ offset }) => offset < this.#end);
    } catch (error) {
      if (!isKind(error, 'gap')) throw error;
      return this.#afterGap(error);
    }
  }

  /** Messages were removed under the reader, which is what `keep` is for: go on with what there is. */
  async #afterGap(error: unknown): Promise<Message[]> {
    const { bus, topic, busPartition, note } = this.#parts;
    const start = (await bus.topic(topic.name))?.partitions[busPartition]?.start;
    if (start === undefined || start <= this.#next) throw error;
    note(`${topic.label}, bus partition ${busPartition}: messages ${this.#next} to ${start - 1} were removed before they could be read.`);
    await this.#reader?.[Symbol.asyncDispose]();
    this.#reader = undefined;
    this.#next = start;
    return [];
  }

  async #decode(message: Message): Promise<Head> {
    const { decoder, topic, busPartition } = this.#parts;
    const place = { topic: topic.name, busPartition, offset: message.offset, timestampMs: message.timestampMs };
    const entries = await decoder.decode(place, message);
    const [first] = entries;
    const position = first && positionOfEntry(first);
    return { message, entries, session: position === undefined ? 0 : Number(first?.fields.session), position: position ?? '' };
  }
}
