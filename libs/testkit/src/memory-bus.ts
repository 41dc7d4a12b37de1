import {
  type Bus,
  type Clock,
  type GroupMember,
  type Ids,
  type OutMessage,
  type PartitionReader,
  PipelineError,
  type Producer,
  type Registry,
  refuseTooLarge,
  type Sent,
  type TopicInfo,
} from '@nanosync/core';
import { MemoryProducer, MemoryReader } from './memory-client.ts';
import { MemoryGroup, MemoryMember } from './memory-group.ts';
import { endOf, type MemoryBusStore, type MemoryPartition, type MemoryTopic } from './memory-log.ts';

/** An empty store. */
export function memoryBusStore(): MemoryBusStore {
  return { topics: new Map(), schemas: [] };
}

/** The bus in memory, with the semantics of the durable ones: plain and deterministic, no time but the clock's. */
export async function openMemoryBus(options: {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly store?: MemoryBusStore;
  readonly maxMessageBytes?: number;
}): Promise<{ readonly bus: Bus; readonly registry: Registry }> {
  const store = options.store ?? memoryBusStore();
  return { bus: new MemoryBus(store, options.clock, options.ids, options.maxMessageBytes), registry: memoryRegistry(store) };
}

function memoryRegistry(store: MemoryBusStore): Registry {
  return {
    register: async (_subject, schema) => {
      const known = store.schemas.indexOf(schema);
      return known >= 0 ? known + 1 : store.schemas.push(schema);
    },
    schema: async (id) => {
      const schema = store.schemas[id - 1];
      if (schema === undefined) throw new PipelineError('gap', `The registry has no schema ${id}.`);
      return schema;
    },
  };
}

/** The bus in memory. */
export class MemoryBus implements Bus {
  readonly clock: Clock;
  readonly #store: MemoryBusStore;
  readonly #ids: Ids;
  readonly #groups = new Map<string, MemoryGroup>();
  readonly #waiting = new Set<() => void>();
  #closed = false;

  readonly maxMessageBytes: number;

  constructor(store: MemoryBusStore, clock: Clock, ids: Ids, maxMessageBytes = 64 * 1_048_576) {
    this.maxMessageBytes = maxMessageBytes;
    this.#store = store;
    this.clock = clock;
    this.#ids = ids;
  }

  async ensureTopic(name: string, partitions: number): Promise<TopicInfo> {
    this.assertOpen();
    if (!Number.isInteger(partitions) || partitions < 1) throw new PipelineError('defect', `A topic cannot have ${partitions} partitions.`);
    let topic = this.#store.topics.get(name);
    if (topic === undefined) {
      const empty = () => ({ start: 0, messages: [] });
      topic = { id: this.#ids.next(), partitions: Array.from({ length: partitions }, empty), groups: new Map() };
      this.#store.topics.set(name, topic);
    }
    if (topic.partitions.length !== partitions) {
      throw new PipelineError('gap', `Topic ${name} has ${topic.partitions.length} partitions, not ${partitions}.`);
    }
    return infoOf(name, topic);
  }

  async topic(name: string): Promise<TopicInfo | undefined> {
    this.assertOpen();
    const topic = this.#store.topics.get(name);
    return topic && infoOf(name, topic);
  }

  async deleteTopic(name: string): Promise<void> {
    this.assertOpen();
    this.#store.topics.delete(name);
    this.wake();
  }

  async producer(): Promise<Producer> {
    this.assertOpen();
    return new MemoryProducer(this);
  }

  async reader(name: string, partition: number, offset: number): Promise<PartitionReader> {
    this.partition(name, partition);
    return new MemoryReader(this, name, partition, offset);
  }

  async group(name: string, group: string): Promise<GroupMember> {
    const topic = this.required(name);
    const key = `${topic.id}/${group}`;
    const queue = this.#groups.get(key) ?? new MemoryGroup(this, name, group);
    this.#groups.set(key, queue);
    return new MemoryMember(queue);
  }

  async trim(name: string, partition: number, before: number): Promise<void> {
    const log = this.partition(name, partition);
    if (before > endOf(log)) throw new PipelineError('gap', `Topic ${name} ends at ${endOf(log)}, it cannot be trimmed below ${before}.`);
    if (before <= log.start) return;
    log.messages = log.messages.slice(before - log.start);
    log.start = before;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.wake();
  }

  /** Throws once the bus is closed. */
  assertOpen(): void {
    if (this.#closed) throw new PipelineError('unavailable', 'The bus is closed.');
  }

  /** The topic; throws `gap` when there is none, or when it is no longer the one of this id. */
  required(name: string, id?: string): MemoryTopic {
    this.assertOpen();
    const topic = this.#store.topics.get(name);
    if (topic === undefined || (id !== undefined && topic.id !== id)) throw new PipelineError('gap', `Topic ${name} is not on the bus.`);
    return topic;
  }

  /** One bus partition of a topic. */
  partition(name: string, partition: number, id?: string): MemoryPartition {
    const log = this.required(name, id).partitions[partition];
    if (log === undefined) throw new PipelineError('defect', `Topic ${name} has no partition ${partition}.`);
    return log;
  }

  /** Appends messages and wakes who waits. */
  append(name: string, partition: number, messages: readonly OutMessage[]): Sent {
    const log = this.partition(name, partition);
    refuseTooLarge(name, messages, this.maxMessageBytes);
    for (const { key, value } of messages) {
      log.messages.push({ key: Buffer.from(key), value: Buffer.from(value), offset: endOf(log), timestampMs: this.clock.nowMs() });
    }
    this.wake();
    return { end: endOf(log) };
  }

  /** Waits until something changed, the time is over or the signal aborts. */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return;
    const woken = new AbortController();
    const wake = () => woken.abort('woken'); // Without a reason each wake-up makes an exception with its stack.
    this.#waiting.add(wake);
    signal?.addEventListener('abort', wake, { once: true });
    await this.clock.sleep(ms, woken.signal);
    signal?.removeEventListener('abort', wake);
    this.#waiting.delete(wake);
  }

  /** Wakes everyone who waits. */
  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

function infoOf(name: string, topic: MemoryTopic): TopicInfo {
  return { name, id: topic.id, partitions: topic.partitions.map((log) => ({ start: log.start, end: endOf(log) })) };
}
