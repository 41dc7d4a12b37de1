import { type KafkaCluster, lost } from './cluster.ts';
import { answerError } from './errors.ts';
import type { Link } from './link.ts';
import { type Parcel, type Produced, produceRequest } from './produce.ts';

/** Requests under way to one broker; each bus partition is in at most one, because its next parcel waits for the answer. */
const REQUESTS = 2;
const REQUEST_BYTES = 8 * 1_048_576;

interface Entry {
  readonly parcel: Parcel;
  readonly resolve: (base: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Sends one producer's parcels to one broker over a connection of its own, those that are ready at the same time in one request. */
export class Sender {
  readonly #cluster: KafkaCluster;
  readonly #link: Link;
  #queue: Entry[] = [];
  #inFlight = 0;

  constructor(cluster: KafkaCluster, node: number) {
    this.#cluster = cluster;
    this.#link = cluster.connect(node, cluster.settings.sendTimeoutMs);
  }

  /** The offset of the parcel's first message, once all replicas have it. The caller sends one parcel of a bus partition at a time. */
  send(parcel: Parcel): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ parcel, resolve, reject });
      if (this.#queue.length === 1) setImmediate(() => this.#next());
    });
  }

  /** Closes the connection; what is under way fails, though it may have arrived. */
  close(): void {
    this.#link.close();
    this.#fail(this.#queue.splice(0), lost('The producer is closed.'));
  }

  #next(): void {
    while (this.#inFlight < REQUESTS && this.#queue.length > 0) {
      let bytes = 0;
      let count = 0;
      for (const { parcel } of this.#queue) {
        bytes += parcel.bytes.length;
        if (count > 0 && bytes > REQUEST_BYTES) break;
        count++;
      }
      const entries = this.#queue.splice(0, count);
      this.#inFlight++;
      queueMicrotask(() => this.#request(entries));
    }
  }

  async #request(entries: readonly Entry[]): Promise<void> {
    try {
      const parcels = entries.map(({ parcel }) => parcel);
      const produced = await this.#link.send(produceRequest(parcels, this.#cluster.settings.sendTimeoutMs));
      for (const entry of entries) settle(entry, produced);
    } catch (error) {
      this.#fail(entries, error);
    }
    this.#inFlight--;
    this.#next();
  }

  #fail(entries: readonly Entry[], error: unknown): void {
    for (const entry of entries) entry.reject(error);
  }
}

function settle({ parcel, resolve, reject }: Entry, produced: readonly Produced[]): void {
  const mine = produced.find(({ topic, partition }) => topic === parcel.topic && partition === parcel.partition);
  if (mine === undefined) reject(lost('The broker left a partition out of its answer.'));
  else if (mine.error !== 0) reject(answerError(mine.error, `Topic ${parcel.topic} partition ${parcel.partition}`));
  else resolve(mine.base);
}
