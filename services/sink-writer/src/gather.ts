import type { Clock, Message } from '@nanosync/core';
import type { PartitionMessages, PartitionsReader } from './partitions-reader.ts';

/** When to stop gathering. */
export interface Enough {
  /** Bytes of messages. */
  readonly bytes: number;
  /** How long after the first message, in milliseconds; 0 takes what is there. */
  readonly waitMs: number;
  /** True when these are worth a step although more may come later; asked whenever nothing new has arrived for a while. */
  readonly isWhole?: (read: readonly PartitionMessages[]) => boolean;
}

/**
 * Reads messages of a topic until there are enough for one step of the sink, since a step may cost much however little it holds. Returns
 * nothing when nothing arrives within `idleMs`, or when the signal aborts: what was gathered then is read again by the next owner.
 */
export async function gather(
  reader: Pick<PartitionsReader, 'next'>,
  { clock, signal, idleMs }: { readonly clock: Clock; readonly signal: AbortSignal; readonly idleMs: number },
  enough: Enough,
): Promise<readonly PartitionMessages[]> {
  let gathered = await reader.next(idleMs);
  if (gathered.length === 0 || enough.waitMs === 0) return gathered;
  const until = clock.monotonicMs() + enough.waitMs;
  while (bytesOf(gathered) < enough.bytes && !signal.aborted) {
    const leftMs = until - clock.monotonicMs();
    if (leftMs <= 0) break;
    const more = await reader.next(Math.min(idleMs, leftMs));
    if (more.length === 0 && enough.isWhole?.(gathered) === true) break;
    gathered = joined(gathered, more);
  }
  return signal.aborted ? [] : gathered;
}

/** Bytes of all messages. */
export function bytesOf(read: readonly PartitionMessages[]): number {
  return read.reduce((sum, { messages }) => sum + messages.reduce((all, { value }) => all + value.length, 0), 0);
}

/** Two reads as one: the messages of each bus partition, in offset order. */
function joined(first: readonly PartitionMessages[], second: readonly PartitionMessages[]): readonly PartitionMessages[] {
  const all = new Map<number, readonly Message[]>(first.map(({ busPartition, messages }) => [busPartition, messages]));
  for (const { busPartition, messages } of second) all.set(busPartition, [...(all.get(busPartition) ?? []), ...messages]);
  return [...all].map(([busPartition, messages]) => ({ busPartition, messages }));
}
