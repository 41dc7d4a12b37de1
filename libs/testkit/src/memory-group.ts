import { type Delivery, type GroupMember, type Message, PipelineError } from '@nanosync/core';
import { endOf, type MemoryHost, type MemoryProgress, type MemoryTopic } from './memory-log.ts';

/** A message of one bus partition, on its way to a member. */
export interface MemoryHandout {
  readonly partition: number;
  readonly message: Message;
}

/** What the members of one group share: every message is with at most one of them; what is done is in the topic's store. */
export class MemoryGroup {
  readonly #bus: MemoryHost;
  readonly #name: string;
  readonly #topic: MemoryTopic;
  readonly #progress: readonly MemoryProgress[];
  readonly #held = new Set<string>();

  constructor(bus: MemoryHost, name: string, group: string) {
    this.#bus = bus;
    this.#name = name;
    this.#topic = bus.required(name);
    const fresh = () => this.#topic.partitions.map((log) => ({ next: log.start, done: new Set<number>() }));
    this.#progress = this.#topic.groups.get(group) ?? fresh();
    this.#topic.groups.set(group, this.#progress);
  }

  /** The first message that is neither done nor with a member, or undefined once the signal aborts. */
  async take(signal: AbortSignal): Promise<MemoryHandout | undefined> {
    for (;;) {
      if (signal.aborted) return undefined;
      this.#bus.required(this.#name, this.#topic.id);
      const handout = this.#find();
      if (handout !== undefined) {
        this.#held.add(placeOf(handout));
        return handout;
      }
      await this.#bus.wait(Number.MAX_SAFE_INTEGER, signal);
    }
  }

  giveBack(handouts: Iterable<MemoryHandout>): void {
    for (const handout of handouts) this.#held.delete(placeOf(handout));
    this.#bus.wake();
  }

  done(handout: MemoryHandout): void {
    this.#bus.assertOpen();
    const progress = this.#progress[handout.partition] as MemoryProgress;
    progress.done.add(handout.message.offset);
    while (progress.done.delete(progress.next)) progress.next++;
    this.#held.delete(placeOf(handout));
  }

  #find(): MemoryHandout | undefined {
    for (const [partition, log] of this.#topic.partitions.entries()) {
      const { next, done } = this.#progress[partition] as MemoryProgress;
      if (next < log.start) throw new PipelineError('gap', `Topic ${this.#name} was trimmed above what its group has done.`);
      for (let offset = next; offset < endOf(log); offset++) {
        const handout = { partition, message: log.messages[offset - log.start] as Message };
        if (!done.has(offset) && !this.#held.has(placeOf(handout))) return handout;
      }
    }
    return undefined;
  }
}

/** One member of a group in memory. */
export class MemoryMember implements GroupMember {
  readonly #group: MemoryGroup;
  readonly #held = new Set<MemoryHandout>();
  readonly #ended = new AbortController();

  constructor(group: MemoryGroup) {
    this.#group = group;
  }

  async next(signal: AbortSignal): Promise<Delivery | undefined> {
    const handout = await this.#group.take(AbortSignal.any([signal, this.#ended.signal]));
    if (handout === undefined) return undefined;
    this.#held.add(handout);
    return {
      message: handout.message,
      heartbeat: async () => this.#assertLive(),
      done: async () => {
        this.#assertLive();
        this.#group.done(handout);
        this.#held.delete(handout);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    this.#group.giveBack(this.#held);
    this.#held.clear();
  }

  #assertLive(): void {
    if (this.#ended.signal.aborted) throw new PipelineError('conflict', 'The group member has ended; its messages went to another.');
  }
}

function placeOf(handout: MemoryHandout): string {
  return `${handout.partition}/${handout.message.offset}`;
}
