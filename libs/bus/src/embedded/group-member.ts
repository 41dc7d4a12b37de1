import type { Delivery, GroupMember } from '@nanosync/core';
import { type GroupQueue, type Handout, memberEnded } from './group-queue.ts';

/** One member of a group. It lives as long as the process, so it needs no heartbeat to be alive. */
export class EmbeddedMember implements GroupMember {
  readonly #queue: GroupQueue;
  readonly #held = new Set<Handout>();
  readonly #ended = new AbortController();

  constructor(queue: GroupQueue) {
    this.#queue = queue;
  }

  async next(signal: AbortSignal): Promise<Delivery | undefined> {
    const handout = await this.#queue.take(AbortSignal.any([signal, this.#ended.signal]));
    if (handout === undefined) return undefined;
    if (this.#ended.signal.aborted) {
      this.#queue.giveBack([handout]);
      return undefined;
    }
    this.#held.add(handout);
    return {
      message: handout.message,
      heartbeat: async () => this.#assertHeld(handout),
      done: async () => {
        this.#assertHeld(handout);
        await this.#queue.done(handout.partition, handout.message.offset);
        this.#held.delete(handout);
      },
    };
  }

  /** Ends the member: what it did not finish goes to the others. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    const unfinished = [...this.#held].sort((a, b) => a.message.offset - b.message.offset);
    this.#held.clear();
    this.#queue.giveBack(unfinished);
  }

  #assertHeld(handout: Handout): void {
    if (this.#ended.signal.aborted && !this.#held.has(handout)) throw memberEnded();
  }
}
