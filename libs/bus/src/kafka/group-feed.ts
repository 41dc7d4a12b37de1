import { isKind, type Log, type Message, PipelineError } from '@nanosync/core';
import { type GroupProgress, isDone, withDone } from '../group-progress.ts';
import type { KafkaReader } from './reader.ts';

const READ_BYTES = 1_048_576;
const READY_MESSAGES = 256;
const WAIT_MS = 60_000;
/** Kafka takes 4 kB with a commit by default. */
const METADATA_CHARS = 3000;

/** What a feed is made of; `committed` is undefined where the group has never committed. */
export interface FeedStart {
  readonly partition: number;
  readonly topic: string;
  readonly committed: { readonly offset: number; readonly metadata: string } | undefined;
  readonly range: { readonly start: number; readonly end: number };
  readonly open: (offset: number) => KafkaReader;
  /** Wakes whoever waits for a message; false when nobody does. */
  readonly wake: () => boolean;
  readonly log: Log;
}

/** One bus partition as long as a member has it: reads ahead what is not done, and knows what was handed out. */
export class GroupFeed {
  readonly partition: number;
  readonly ready: Message[] = [];
  readonly handedOut = new Set<number>();
  readonly #wake: () => boolean;
  readonly #reader: KafkaReader;
  readonly #ended = new AbortController();
  #progress: GroupProgress;
  #failure: unknown;
  #pumping = false;

  constructor(start: FeedStart) {
    this.partition = start.partition;
    this.#wake = start.wake;
    this.#progress = progressOf(start);
    this.#reader = start.open(this.#progress.next);
  }

  get progress(): GroupProgress {
    return this.#progress;
  }

  /** True once the bus partition may be with another member. */
  get lost(): boolean {
    return this.#ended.signal.aborted;
  }

  /** The next message to hand out, if one is there; a failure to read is thrown here. */
  take(): Message | undefined {
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
    const message = this.ready.shift();
    if (message !== undefined) this.handedOut.add(message.offset);
    if (!this.#pumping) queueMicrotask(() => this.#pump());
    this.#pumping = true;
    return message;
  }

  done(offset: number): void {
    this.#progress = withDone(this.#progress, offset);
  }

  end(): void {
    this.#ended.abort();
    this.ready.length = 0;
    this.#reader[Symbol.asyncDispose]().catch(() => undefined);
  }

  /** Reads until enough is ready; `take` starts it again. */
  async #pump(): Promise<void> {
    const { signal } = this.#ended;
    try {
      while (!signal.aborted && this.ready.length < READY_MESSAGES) {
        const messages = await this.#reader.read({ maxBytes: READ_BYTES, waitMs: WAIT_MS, signal });
        if (signal.aborted) return;
        this.ready.push(...messages.filter(({ offset }) => !isDone(this.#progress, offset)));
        if (messages.length > 0) this.#wake();
      }
    } catch (error) {
      this.#failure = error;
      // What is away may be back when somebody asks: then it is tried again instead.
      if (!signal.aborted && !this.#wake() && isKind(error, 'unavailable')) this.#failure = undefined;
    } finally {
      this.#pumping = false;
    }
  }
}

/** The commit's metadata: what is done above its offset. What does not fit is delivered again. */
export function metadataOf({ done }: GroupProgress): string {
  let text = '';
  for (const [from, to] of done) {
    const next = `${text}${text === '' ? '' : ','}${from}-${to}`;
    if (next.length > METADATA_CHARS) break;
    text = next;
  }
  return text;
}

/** Where to begin: never past a message that is not done. */
function progressOf({ committed, range, topic, partition, log }: FeedStart): GroupProgress {
  if (committed === undefined) return { next: range.start, done: [] };
  const progress = { next: committed.offset, done: rangesOf(committed.metadata) };
  if (progress.next > range.end) {
    log.warn('the group was ahead of its topic and begins again', { topic, partition, offset: progress.next, end: range.end });
    return { next: range.start, done: [] };
  }
  for (let offset = progress.next; offset < range.start; offset++) {
    if (isDone(progress, offset)) continue;
    throw new PipelineError('gap', `Topic ${topic} partition ${partition} was trimmed above what its group has done.`, {
      hint: 'Resnapshot the pipeline: tasks that nobody has done are no longer on the bus.',
    });
  }
  return progress.next < range.start ? { next: range.start, done: progress.done.filter(([, to]) => to > range.start) } : progress;
}

function rangesOf(metadata: string): readonly (readonly [number, number])[] {
  const ranges = metadata.split(',').map((range) => /^(\d+)-(\d+)$/.exec(range));
  return ranges.flatMap((found) => (found === null ? [] : [[Number(found[1]), Number(found[2])] as const]));
}
