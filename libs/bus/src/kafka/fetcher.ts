import type { KafkaCluster } from './cluster.ts';
import { lost } from './cluster.ts';
import { type Fetched, fetchRequest, type Want } from './fetch.ts';
import type { Link } from './link.ts';

/**
 * How long a broker holds a request for bus partitions that have nothing new, by the connection that it is sent on. `fresh`: a reader that
 * comes with an offset is answered at once. `long`: all that found nothing. `short`: those that began to wait while a long one was under way.
 */
const WAIT_MS = { fresh: 0, short: 5, long: 250 } as const;

/** May be set while a request waits: answer after the next request, also when there is nothing. */
export interface FetchMode {
  once: boolean;
}

interface Entry {
  readonly want: Want;
  readonly mode: FetchMode;
  readonly resolve: (fetched: Fetched) => void;
  readonly reject: (error: unknown) => void;
  asked: boolean;
  /** `once` when the request under way was sent: an answer that was on its way before may miss what was there by then. */
  once: boolean;
  inFlight: boolean;
}

type Lane = keyof typeof WAIT_MS;

/**
 * Reads from one broker for all readers of the process over three connections, since a broker answers one request of a connection after
 * the other. A hundred waiting readers cost as many requests as one.
 */
export class Fetcher {
  readonly #cluster: KafkaCluster;
  readonly #node: number;
  readonly #entries = new Set<Entry>();
  readonly #links = new Map<Lane, Link>();
  readonly #running = new Set<Lane>();
  readonly #rounds = new Map<Lane, { readonly entries: number; readonly ended: Promise<void> }>();

  constructor(cluster: KafkaCluster, node: number) {
    this.#cluster = cluster;
    this.#node = node;
  }

  /** Messages from the wanted offset, or an error answer; waits for messages unless `once`. Rejects when the broker is lost. */
  fetch(want: Want, mode: FetchMode): Promise<Fetched> {
    return new Promise((resolve, reject) => {
      this.#entries.add({ want, mode, resolve, reject, asked: false, once: false, inFlight: false });
      this.#start('fresh');
    });
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
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
      if (lane === 'long') await this.#gather();
      const entries = this.#choose(lane);
      if (entries.length === 0) break;
      const round = this.#round(lane, entries);
      this.#rounds.set(lane, { entries: entries.length, ended: round });
      if (lane === 'long') this.#start('short'); // For a second reader of a bus partition, which one request cannot name twice.
      await round;
      this.#rounds.delete(lane);
      if (lane !== 'fresh') continue;
      this.#start('long');
      this.#start('short');
    }
    this.#running.delete(lane); // In the same turn as the choice of nothing, so that a later start is not lost.
  }

  async #round(lane: Lane, entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) {
      entry.inFlight = true;
      entry.once = entry.mode.once;
    }
    try {
      this.#deliver(entries, await this.#link(lane).send(fetchRequest(entries.map(wantOf), WAIT_MS[lane])));
    } catch (error) {
      for (const entry of entries) if (this.#entries.delete(entry)) entry.reject(error);
    }
  }

  /** When many of those that wait are in a short request just now, the long one waits for its end, to take them over. */
  async #gather(): Promise<void> {
    const short = this.#rounds.get('short');
    if (short !== undefined && short.entries * 4 > this.#choose('long').length) await short.ended;
  }

  #choose(lane: Lane): readonly Entry[] {
    if (lane === 'short' && !this.#rounds.has('long')) {
      this.#start('long');
      return [];
    }
    return distinct([...this.#entries].filter(({ asked, inFlight }) => !inFlight && asked === (lane !== 'fresh')));
  }

  #deliver(entries: readonly Entry[], answers: readonly Fetched[]): void {
    const byPlace = new Map(answers.map((answer) => [placeOf(answer), answer]));
    for (const entry of entries) {
      entry.asked = true;
      entry.inFlight = false;
      const answer = byPlace.get(placeOf(entry.want));
      if (answer === undefined) this.#settle(entry, () => entry.reject(lost('The broker left a partition out of its answer.')));
      else if (entry.once || answer.error !== 0 || answer.records.length > 0) this.#settle(entry, () => entry.resolve(answer));
    }
  }

  #settle(entry: Entry, how: () => void): void {
    if (this.#entries.delete(entry)) how();
  }

  #link(lane: Lane): Link {
    const open = this.#links.get(lane);
    if (open !== undefined && !open.closed) return open;
    const link = this.#cluster.connect(this.#node);
    this.#links.set(lane, link);
    return link;
  }
}

/** A request names a partition once; a second reader of it waits for the next request. Who waits longest comes first. */
function distinct(entries: readonly Entry[]): readonly Entry[] {
  return [...new Map(entries.toReversed().map((entry) => [placeOf(entry.want), entry])).values()].toReversed();
}

function placeOf({ topicId, partition }: { readonly topicId: string; readonly partition: number }): string {
  return `${topicId}/${partition}`;
}

function wantOf({ want }: Entry): Want {
  return want;
}
