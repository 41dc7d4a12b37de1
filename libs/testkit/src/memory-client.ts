import { type Message, type OutMessage, type PartitionReader, PipelineError, type Producer, type Sent } from '@nanosync/core';
import { endOf, type MemoryHost } from './memory-log.ts';

/** Sends until a send fails; then never again. */
export class MemoryProducer implements Producer {
  readonly #bus: MemoryHost;
  #refusal: PipelineError | undefined;

  constructor(bus: MemoryHost) {
    this.#bus = bus;
  }

  async send(topic: string, partition: number, messages: readonly OutMessage[]): Promise<Sent> {
    if (this.#refusal !== undefined) throw this.#refusal;
    try {
      return this.#bus.append(topic, partition, messages);
    } catch (cause) {
      this.#refusal = new PipelineError('conflict', 'An earlier send of this producer failed, so it sends no more.', { cause });
      throw cause;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#refusal ??= new PipelineError('conflict', 'The producer is closed.');
  }
}

/** Reads one bus partition of one life of a topic. */
export class MemoryReader implements PartitionReader {
  readonly #bus: MemoryHost;
  readonly #name: string;
  readonly #id: string;
  readonly #partition: number;
  #offset: number;

  constructor(bus: MemoryHost, name: string, partition: number, offset: number) {
    this.#bus = bus;
    this.#name = name;
    this.#id = bus.required(name).id;
    this.#partition = partition;
    this.#offset = offset;
  }

  async read(options: { readonly maxBytes: number; readonly waitMs: number; readonly signal?: AbortSignal }): Promise<readonly Message[]> {
    const deadline = this.#bus.clock.monotonicMs() + options.waitMs;
    for (;;) {
      const messages = this.#next(options.maxBytes);
      const left = deadline - this.#bus.clock.monotonicMs();
      if (messages.length > 0 || left <= 0 || options.signal?.aborted) return messages;
      await this.#bus.wait(left, options.signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #next(maxBytes: number): readonly Message[] {
    const log = this.#bus.partition(this.#name, this.#partition, this.#id);
    if (this.#offset < log.start || this.#offset > endOf(log)) {
      throw new PipelineError('gap', `Topic ${this.#name} holds offsets ${log.start} to ${endOf(log)}, not ${this.#offset}.`);
    }
    const messages: Message[] = [];
    let bytes = 0;
    for (let at = this.#offset - log.start; at < log.messages.length; at++) {
      const message = log.messages[at] as Message;
      bytes += message.key.length + message.value.length;
      if (messages.length > 0 && bytes > maxBytes) break;
      messages.push(message);
    }
    this.#offset += messages.length;
    return messages;
  }
}
