import type { Cell, Clock } from '@nanosync/core';
import { UNCHANGED } from '@nanosync/core';
import type { ModelDatabase } from './database.ts';
import type { Lack, Pending } from './decode.ts';
import type { ModelTable } from './table.ts';
import { isVisible, sees } from './table.ts';

/** Events that the first read asks for; each next one for twice as many. */
const FIRST_BATCH = 16;
const MOST_BATCH = 512;
/** How long a read is on its way, at most. */
const TRIP_MS = 4;

interface Parts {
  readonly db: ModelDatabase;
  readonly clock: Clock;
  /** Aborted when the stream is given up. */
  readonly closing: AbortSignal;
  /** The end of the log where a stream goes on that had delivered before; 0 for the first of a slot. */
  readonly horizon: bigint;
  /** Throws once the connection that reads is gone. */
  readonly connected: () => void;
}

/** Reads the cells that the log left out by key, from a snapshot that has the event's transaction. */
export class ModelCompletion {
  private readonly parts: Parts;
  private batch = FIRST_BATCH;
  private readonly horizons = new Map<ModelTable, bigint>();

  constructor(parts: Parts) {
    this.parts = parts;
  }

  /** Completes from the front, and takes out what may be delivered; waits while the first event is not complete. */
  async ready(queue: Pending[]): Promise<readonly Pending[]> {
    const { db, clock, closing, connected } = this.parts;
    for (let asked = this.choose(queue); asked.length > 0; asked = this.choose(queue)) {
      await clock.sleep(1 + Math.floor(db.random() * TRIP_MS), closing);
      if (closing.aborted) return [];
      connected();
      const answers = this.read(asked.map(({ lack }) => lack as Lack));
      for (const [index, pending] of asked.entries()) settle(pending, answers[index]);
      this.batch = Math.min(MOST_BATCH, this.batch * 2);
      const waiting = asked.find(({ lack }) => lack !== undefined);
      if (waiting === undefined) continue;
      if (waiting !== queue[0]) break;
      await db.wakeUps.next(closing);
    }
    const until = queue.findIndex(({ lack }) => lack !== undefined);
    return queue.splice(0, until < 0 ? queue.length : until);
  }

  private needed({ table, commitLsn, always }: Lack): boolean {
    return always || commitLsn < this.parts.horizon || commitLsn < (this.horizons.get(table) ?? 0n);
  }

  /** The next events to read for; those at the front that need nothing, as the horizon is now, go as they are. */
  private choose(queue: readonly Pending[]): readonly Pending[] {
    for (const pending of queue) {
      if (pending.lack === undefined) continue;
      if (this.needed(pending.lack)) break;
      pending.lack = undefined;
    }
    return queue.filter(({ lack }) => lack !== undefined && this.needed(lack)).slice(0, this.batch);
  }

  /** One statement's answers; undefined for an event whose transaction it does not see. */
  private read(asked: readonly Lack[]): readonly Answer[] {
    const { db } = this.parts;
    const snapshot = db.snapshot();
    return asked.map(({ table, key, cells, xid }) => {
      if (!sees(snapshot, xid) || table.exclusive !== undefined) return undefined;
      const found = table.heap.ofKey(key).find((version) => isVisible(version, snapshot));
      if (found !== undefined) return new Map(cells.map((place) => [place, found.row[place] ?? null]));
      this.horizons.set(table, db.end);
      return 'gone';
    });
  }
}

type Answer = ReadonlyMap<number, Cell> | 'gone' | undefined;

function settle(pending: Pending, answer: Answer): void {
  const { event } = pending;
  if (event?.kind !== 'change' || answer === undefined) return;
  pending.lack = undefined;
  if (answer !== 'gone') {
    const after = (event.after ?? []).map((cell, place) => (cell === UNCHANGED ? (answer.get(place) ?? null) : cell));
    pending.event = { ...event, after, completed: true };
  } else pending.event = event.keyChange ? undefined : { ...event, rowless: true };
}
