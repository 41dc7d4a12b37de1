import type { Clock, Message, OutMessage, Sent } from '@nanosync/core';

/** One bus partition: `messages[0]` has offset `start`. */
export interface MemoryPartition {
  start: number;
  messages: Message[];
}

/** What a group has done of one bus partition: everything below `next`, and `done` above it. */
export interface MemoryProgress {
  next: number;
  readonly done: Set<number>;
}

/** A topic in memory, with each group's progress by bus partition. */
export interface MemoryTopic {
  readonly id: string;
  readonly partitions: readonly MemoryPartition[];
  readonly groups: Map<string, readonly MemoryProgress[]>;
}

/** What survives the end of a memory bus: a test opens a new one over it, as after a restart. */
export interface MemoryBusStore {
  readonly topics: Map<string, MemoryTopic>;
  readonly schemas: string[];
}

/** What producers, readers and groups in memory need of their bus. */
export interface MemoryHost {
  readonly clock: Clock;
  /** Throws once the bus is closed. */
  assertOpen(): void;
  /** The topic; throws `gap` when there is none, or when it is no longer the one of this id. */
  required(name: string, id?: string): MemoryTopic;
  partition(name: string, partition: number, id?: string): MemoryPartition;
  /** Appends messages and wakes who waits. */
  append(name: string, partition: number, messages: readonly OutMessage[]): Sent;
  /** Waits until something changed, the time is over or the signal aborts. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
  /** Wakes everyone who waits. */
  wake(): void;
}

/** Offset of the next message. */
export function endOf(log: MemoryPartition): number {
  return log.start + log.messages.length;
}
