import type { Cell, SourceEvent } from '@nanosync/core';
import { PipelineError, UNCHANGED } from '@nanosync/core';
import type { Lsn } from './position.ts';
import type { TablePlan } from './table-plan.ts';

/** An event that lacks cells and must be completed from the source before it is delivered. */
export interface Lacking {
  /** Its place among the events. */
  readonly at: number;
  readonly plan: TablePlan;
  /** The key as the stream spelled it, in key order. */
  readonly key: readonly string[];
  /** Places of the cells that the log left out. */
  readonly cells: readonly number[];
  /** The event's transaction, 32 bits, and where it commits. */
  readonly xid: number;
  readonly commitLsn: Lsn;
  /** False where the event is completed only if the table's horizon turns out to reach it. */
  readonly always: boolean;
}

/** Decoded events in stream order, delivered from the front. */
export interface Chunk {
  readonly events: SourceEvent[];
  /** In order; emptied from the front as events are completed. */
  readonly lacking: Lacking[];
  /** Places of events that turned out to have nothing to say. */
  readonly dropped: Set<number>;
  /** Events before this place were delivered. */
  from: number;
}

/** What a read of the source found for an event that lacks cells; undefined when it does not count yet. */
export type Answer = { readonly found: boolean; readonly cells: ReadonlyMap<number, Cell>; readonly bytes: number } | undefined;

/** A chunk without events. */
export function newChunk(): Chunk {
  return { events: [], lacking: [], dropped: new Set(), from: 0 };
}

/** True when every event of the chunk was delivered. */
export function isSpent(chunk: Chunk): boolean {
  return chunk.from === chunk.events.length;
}

/** Takes out the events before the first that still lacks cells. */
export function takeReady(chunk: Chunk): readonly SourceEvent[] {
  const { events, dropped, from } = chunk;
  const until = chunk.lacking[0]?.at ?? events.length;
  chunk.from = until;
  if (dropped.size > 0) return events.slice(from, until).filter((_, index) => !dropped.has(from + index));
  return from === 0 && until === events.length ? events : events.slice(from, until);
}

/** Writes an answer into its event; false when it has to be asked for again. */
export function settle(chunk: Chunk, lacking: Lacking, answer: Answer): boolean {
  const event = chunk.events[lacking.at];
  if (event?.kind !== 'change' || event.after === null) throw new PipelineError('defect', 'an event to be completed is not where it was');
  if (answer === undefined) return false;
  if (answer.found) {
    const after = [...event.after];
    for (const [place, cell] of answer.cells) if (after[place] === UNCHANGED) after[place] = cell;
    chunk.events[lacking.at] = { ...event, after, completed: answer.cells.size > 0 };
  } else if (event.keyChange) chunk.dropped.add(lacking.at);
  else chunk.events[lacking.at] = { ...event, rowless: true };
  return true;
}
