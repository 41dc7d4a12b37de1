import { type OutMessage, PipelineError, type Producer, refuseTooLarge, type Sent } from '@nanosync/core';
import type { LogStore } from './log-store.ts';

/** Sends until a send fails; then nothing that was given after it, so that nothing can follow a gap. */
export class EmbeddedProducer implements Producer {
  readonly #store: LogStore;
  readonly #maxMessageBytes: number;
  readonly #pending = new Set<Promise<Sent>>();
  #sends = 0;
  #failed: { readonly send: number; readonly cause: unknown } | undefined;
  #closed = false;

  constructor(store: LogStore, maxMessageBytes: number) {
    this.#store = store;
    this.#maxMessageBytes = maxMessageBytes;
  }

  async send(topic: string, partition: number, messages: readonly OutMessage[]): Promise<Sent> {
    if (this.#closed) throw new PipelineError('conflict', 'The producer is closed.');
    const sending = this.#send(this.#sends++, topic, partition, messages);
    this.#pending.add(sending);
    try {
      return await sending;
    } finally {
      this.#pending.delete(sending);
    }
  }

  /** Ends the producer once its sends have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#pending);
  }

  async #send(send: number, topic: string, partition: number, messages: readonly OutMessage[]): Promise<Sent> {
    const check = () => {
      // Invariant 'gapless-sessions': nothing follows a send that failed.
      if (this.#failed === undefined || this.#failed.send >= send) return;
      throw new PipelineError('conflict', 'An earlier send of this producer failed, so it sends no more.', { cause: this.#failed.cause });
    };
    const failed = (cause: unknown) => {
      if (this.#failed === undefined || this.#failed.send > send) this.#failed = { send, cause };
    };
    try {
      check();
      refuseTooLarge(topic, messages, this.#maxMessageBytes);
      return await this.#store.append(topic, partition, messages, { check, failed });
    } catch (cause) {
      failed(cause);
      throw cause;
    }
  }
}
