import type { OutMessage, Row, SinkChange } from '@nanosync/core';
import type { ServiceName } from './process.ts';

const MB = 1_000_000;

/**
 * What a process may hold at once of data on its way, whatever the size of a transaction, of a table or of what waits: capture 4 MB and what
 * the source hands over at once before it flushes; a worker two blocks a slot; a step of the sink one read of each bus partition.
 */
const BOUNDS: Record<ServiceName, number> = { planner: 0.1 * MB, worker: 2 * MB, capture: 6 * MB, writer: 4.6 * MB };

/** Counts the bytes that a process has on their way. */
export class Held {
  private readonly service: ServiceName;
  private readonly violated: (what: string) => void;
  private bytes = 0;

  constructor(service: ServiceName, violated: (what: string) => void) {
    this.service = service;
    this.violated = violated;
  }

  taken(bytes: number): void {
    this.bytes += bytes;
    this.require(this.bytes);
  }

  given(bytes: number): void {
    this.bytes -= bytes;
  }

  /** A step that holds so much at once. */
  require(bytes: number): void {
    if (bytes > BOUNDS[this.service]) this.violated(`${this.service} holds ${bytes} bytes, more than ${BOUNDS[this.service]}`);
  }
}

/** Bytes of messages. */
export function bytesOfMessages(messages: readonly OutMessage[]): number {
  return messages.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
}

/** Bytes of changes, about. */
export function bytesOfChanges(changes: readonly SinkChange[]): number {
  return changes.reduce((sum, { key, event }) => sum + key.length + bytesOfRow(event.after) + bytesOfRow(event.before), 0);
}

function bytesOfRow(row: Row | null): number {
  return row === null ? 0 : row.reduce<number>((sum, cell) => sum + (typeof cell === 'string' ? cell.length : 8), 0);
}
