import type { KafkaCluster } from './cluster.ts';
import { lost } from './cluster.ts';
import { type Fetched, fetchRequest, type Want } from './fetch.ts';
import type { Link } from './link.ts';

/** How long a broker holds a request for partitions that have nothing new. */
const LONG_MS = 250;
/** The same for partitions that began to wait while such a request was under way. */
const SHORT_MS = 20;

/** May be set while a request waits: answer next time, also when there is nothing. */
export interface FetchMode {
  once: boolean;
}

interface Entry {
  readonly want: Want;
  readonly mode: FetchMode;
  readonly resolve: (fetched: Fetched) => void;
  readonly reject: (error: unknown) => void;
  asked: boolean;
  inFlight: boolean;
}

type Lane = 'quick' | 'long';

/**
 * Reads from one broker for all readers of the process over two connections: one asks at once for whoever comes with a new offset,
 * the other holds one long request for all that found nothing. A hundred waiting readers cost four requests a second.
 */
export class Fetcher {
  readonly #cluster: KafkaCluster;
  readonly #node: number;
  readonly #entries = new Set<Entry>();
  readonly #links: Record<Lane, Link | undefined> = { quick: undefined, long: undefined };
  readonly #running = new Set<Lane>();
  readonly #rounds: Record<Lane, Promise<void> | undefined> = { quick: undefined, long: undefined };

  constructor(cluster: KafkaCluster, node: number) {
    this.#cluster = cluster;
    this.#node = node;
  }

  /** Messages from the wanted offset, or an error answer; waits for messages unless `once`. Rejects when the broker is lost. */
  fetch(want: Want, mode: FetchMode): Promise<Fetched> {
    return new Promise((resolve, reject) => {
      this.#entries.add({ want, mode, resolve, reject, asked: false, inFlight: false });
      this.#start('quick');
    });
  }

  close(): void {
    for (const link of Object.values(this.#links)) link?.close();
    for (const entry of this.#entries) entry.reject(lost('The connection was closed.'));
    this.#entries.clear();
  }

  #start(lane: Lane): void {
    if (this.#running.has(lane)) return;
    this.#running.add(lane);
    queueMicrotask(() => this.#run(lane));
  }

  async #run(lane: Lane): Promise<void> {
    for (;;) {
      // What the quick lane holds right now would be missed by the long request for all its time.
      if (lane === 'long') await this.#rounds.quick;
      const entries = lane === 'long' ? this.#waiting() : this.#quick();
      if (entries.length === 0) break;
      this.#rounds[lane] = this.#round(lane, entries);
      await this.#rounds[lane];
      this.#rounds[lane] = undefined;
    }
    this.#running.delete(lane); // In the same turn as the choice of nothing, so that a later start is not lost.
  }

  async #round(lane: Lane, entries: readonly Entry[]): Promise<void> {
    const waitMs = lane === 'long' ? LONG_MS : entries.every(({ asked }) => asked) ? SHORT_MS : 0;
    for (const entry of entries) entry.inFlight = true;
    try {
      this.#deliver(entries, await this.#link(lane).send(fetchRequest(entries.map(wantOf), waitMs)));
    } catch (error) {
      for (const entry of entries) if (this.#entries.delete(entry)) entry.reject(error);
    }
  }

  /** Those never asked for; else those that the long request under way has missed. */
  #quick(): readonly Entry[] {
    const fresh = [...this.#entries].filter(({ asked, inFlight }) => !asked && !inFlight);
    if (fresh.length > 0) return distinct(fresh);
    const waiting = this.#waiting();
    if (waiting.length > 0 && this.#rounds.long === undefined) {
      this.#start('long');
      return [];
    }
    return waiting;
  }

  #waiting(): readonly Entry[] {
    return distinct([...this.#entries].filter(({ asked, inFlight }) => asked && !inFlight));
  }

  #deliver(entries: readonly Entry[], answers: readonly Fetched[]): void {
    const byPlace = new Map(answers.map((answer) => [placeOf(answer), answer]));
    for (const entry of entries) {
      entry.asked = true;
      entry.inFlight = false;
      const answer = byPlace.get(placeOf(entry.want));
      if (answer === undefined) this.#settle(entry, () => entry.reject(lost('The broker left a partition out of its answer.')));
      else if (entry.mode.once || answer.error !== 0 || answer.records.length > 0) this.#settle(entry, () => entry.resolve(answer));
    }
  }

  #settle(entry: Entry, how: () => void): void {
    if (this.#entries.delete(entry)) how();
  }

  #link(lane: Lane): Link {
    const open = this.#links[lane];
    if (open !== undefined && !open.closed) return open;
    const link = this.#cluster.connect(this.#node);
    this.#links[lane] = link;
    return link;
  }
}

/** A request names a partition once; a second reader of it waits for the next request. */
function distinct(entries: readonly Entry[]): readonly Entry[] {
  return [...new Map(entries.toReversed().map((entry) => [placeOf(entry.want), entry])).values()];
}

function placeOf({ topicId, partition }: { readonly topicId: string; readonly partition: number }): string {
  return `${topicId}/${partition}`;
}

function wantOf({ want }: Entry): Want {
  return want;
}
