import type { Message } from '@nanosync/core';
import { isKind } from '@nanosync/core';
import type { Bound } from './bound.ts';
import type { TapEntry } from './entry.ts';
import { isBefore } from './filter.ts';
import type { StreamParts } from './tap-stream.ts';

/** How long one look at a message may take; only a bus that does not answer needs it. */
const LOOK_MS = 5000;

/** Where to begin in a bus partition. `cutMs`: what was asked for begins earlier than the messages that are kept, which begin then. */
export interface Beginning {
  readonly start: number;
  readonly cutMs: number | null;
}

/**
 * The offset of the first message that is not before the bound, by halving. A session that published again goes back in positions
 * once; whichever of the places that divide is found, all that is asked for comes after it.
 */
export async function seek(parts: StreamParts, bound: Bound, range: { readonly start: number; readonly end: number }): Promise<Beginning> {
  const { start, end } = range;
  if (bound.at === 'now' || start === end) return { start: end, cutMs: null };
  const first = start > 0 ? await look(parts, start, end) : undefined;
  if (bound.at === 'beginning') return { start, cutMs: first?.timestampMs ?? null };
  if (first !== undefined && !isBefore(bound, first)) return { start, cutMs: first.timestampMs };
  let low = start;
  let high = end;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const entry = await look(parts, middle, end);
    if (entry === undefined || !isBefore(bound, entry)) high = middle;
    else low = Math.min(high, Math.max(middle, entry.offset) + 1);
  }
  return { start: low, cutMs: null };
}

/** The first message at or behind an offset, undefined when there is none before the end. */
async function look(
  { bus, decoder, topic, busPartition, signal }: StreamParts,
  offset: number,
  end: number,
): Promise<TapEntry | undefined> {
  let message: Message | undefined;
  try {
    await using reader = await bus.reader(topic.name, busPartition, offset);
    [message] = await reader.read({ maxBytes: 1, waitMs: LOOK_MS, signal });
  } catch (error) {
    if (!isKind(error, 'gap')) throw error; // Removed meanwhile: what was asked for lies behind it.
    return undefined;
  }
  if (message === undefined || message.offset >= end) return undefined;
  const place = { topic: topic.name, busPartition, offset: message.offset, timestampMs: message.timestampMs };
  return topic.kind === 'changes' ? (await decoder.decode(place, message))[0] : { ...place, kind: 'task', table: null, fields: {} };
}
