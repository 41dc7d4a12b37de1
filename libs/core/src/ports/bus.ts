import type { Problem } from './problem.ts';

/** A message as sent: `key` chooses nothing by itself, the sender names the bus partition. */
export interface OutMessage {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A message as read. */
export interface Message extends OutMessage {
  readonly offset: number;
  /** When the bus took it, milliseconds since 1970. */
  readonly timestampMs: number;
}

/** A topic as it is now. `id` changes when a topic of the same name is created again. */
export interface TopicInfo {
  readonly name: string;
  readonly id: string;
  /** First readable offset and next offset of each bus partition. */
  readonly partitions: readonly { readonly start: number; readonly end: number }[];
}

/** Where a send ended up. */
export interface Sent {
  /** Offset after the last message of the send. */
  readonly end: number;
}

/**
 * Publishes in order. At most one send per (topic, partition) is in flight; a second call waits for the first. After any send
 * failed or got no answer the producer refuses further sends: throw it away and begin again from the last acknowledged place.
 */
export interface Producer extends AsyncDisposable {
  /** Resolves when the messages are durable on the bus (all replicas), in the order given and next to one another. */
  send(topic: string, partition: number, messages: readonly OutMessage[]): Promise<Sent>;
}

/** Reads one bus partition from a place the caller knows. */
export interface PartitionReader extends AsyncDisposable {
  /**
   * The next messages in offset order, at least one, at most about `maxBytes`; waits up to `waitMs` and then returns none.
   * Throws PipelineError `gap` when the offset is out of range: a failure, never a reset.
   */
  read(options: { readonly maxBytes: number; readonly waitMs: number; readonly signal?: AbortSignal }): Promise<readonly Message[]>;
}

/** One message handed to one member of a group. */
export interface Delivery {
  readonly message: Message;
  /** Says that the member is alive while it works long. */
  heartbeat(): Promise<void>;
  /** The message is done. Until then it is delivered again after this member's end. */
  done(): Promise<void>;
}

/** A member of a group that shares a topic's messages; each is delivered at least once. */
export interface GroupMember extends AsyncDisposable {
  /** The next delivery; waits until there is one, or returns undefined once the signal aborts. */
  next(signal: AbortSignal): Promise<Delivery | undefined>;
}

/**
 * The message bus. Keeps messages in offset order per bus partition until trimmed; loses nothing that a send acknowledged,
 * unless its own storage is restored, which readers detect by topic id and offsets.
 */
export interface Bus extends AsyncDisposable {
  /** The most bytes that key and value of one message may have together; a send of a larger one is refused with `prerequisite`. */
  readonly maxMessageBytes: number;
  /** What of the set-up of the bus, and of these topics where they exist, may lose messages or refuse some; absent: there is nothing to set up. */
  check?(topics: readonly string[]): Promise<readonly Problem[]>;
  /** Creates the topic when it is absent; throws PipelineError `gap` when it exists with another number of partitions. */
  ensureTopic(name: string, partitions: number): Promise<TopicInfo>;
  /** The topic as it is, or undefined. */
  topic(name: string): Promise<TopicInfo | undefined>;
  deleteTopic(name: string): Promise<void>;
  producer(): Promise<Producer>;
  reader(topic: string, partition: number, offset: number): Promise<PartitionReader>;
  group(topic: string, group: string): Promise<GroupMember>;
  /** Removes messages below `before`. */
  trim(topic: string, partition: number, before: number): Promise<void>;
}

/** The schema registry: the same schema under one subject always has one id; ids are never reused. */
export interface Registry {
  register(subject: string, schema: string): Promise<number>;
  /** The schema text of an id; throws PipelineError `gap` when it is unknown. */
  schema(id: number): Promise<string>;
}
