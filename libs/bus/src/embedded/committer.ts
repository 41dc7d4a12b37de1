import { PipelineError } from '@nanosync/core';
import type { Chunk } from './chunk.ts';
import type { IndexStore } from './index-store.ts';
import type { Placed, Segments } from './segments.ts';

/** Bytes of sends that go into one commit, so that many small ones share its price and a large one does not wait for all. */
const COMMIT_BYTES = 16 * 1_048_576;
const COMMIT_WORKS = 10_000;

/**
 * One thing to do in a commit. `apply` runs in the index's transaction and may throw a PipelineError as long as it has put
 * nothing: then it alone fails.
 */
export interface Work<T> {
  readonly append?: { readonly topicNo: number; readonly chunks: readonly Chunk[]; readonly bytes: number };
  /** A topic whose segment is not appended to any more. */
  readonly retire?: number;
  readonly apply: (placed: readonly Placed[]) => T;
  /** Called when it failed, before any later work is applied. */
  readonly failed?: (error: unknown) => void;
}

interface Queued {
  readonly work: Work<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The only writer of this process. Whatever was asked for while a commit was on its way goes into the next one: segment bytes
 * are written and synced first, then one index transaction makes them exist, then the callers hear of it. The bytes of the next
 * commit are written while the index of this one is.
 */
export class Committer {
  readonly #index: IndexStore;
  readonly #segments: Segments;
  /** Segments with bytes that the index does not name yet. After a failed commit they stay in here. */
  readonly #unindexed = new Map<number, number>();
  #queue: Queued[] = [];
  #running: Promise<void> | undefined;

  constructor(index: IndexStore, segments: Segments) {
    this.#index = index;
    this.#segments = segments;
  }

  /** Does the work in the next commit; resolves when that is on disk. Works are done in the order they were given. */
  submit<T>(work: Work<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ work, resolve: resolve as (result: unknown) => void, reject });
      this.#running ??= this.#run();
    });
  }

  /** True while a segment of this process is, or may be, about to get its first chunks. */
  uses(segment: number): boolean {
    return this.#segments.isActive(segment) || (this.#unindexed.get(segment) ?? 0) > 0;
  }

  /** Resolves when all work given so far has ended. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // Lets the callers of this turn into the first commit.
    let indexing: Promise<void> | undefined;
    while (this.#queue.length > 0) {
      const batch = this.#take();
      const placed = await this.#append(batch).catch((error: unknown) => ({ error }));
      await indexing;
      indexing = this.#finish(batch, placed);
      if (this.#queue.length === 0) await indexing;
    }
    this.#running = undefined;
  }

  async #finish(batch: readonly Queued[], placed: readonly (readonly Placed[])[] | { readonly error: unknown }): Promise<void> {
    try {
      if ('error' in placed) throw placed.error;
      await this.#commit(batch, placed);
    } catch (error) {
      for (const { work, reject } of batch) {
        work.failed?.(error);
        reject(error);
      }
    }
  }

  #take(): readonly Queued[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < COMMIT_WORKS && (count === 0 || bytes < COMMIT_BYTES)) {
      bytes += this.#queue[count++]?.work.append?.bytes ?? 0;
    }
    const batch = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    return batch;
  }

  async #commit(batch: readonly Queued[], placed: readonly (readonly Placed[])[]): Promise<void> {
    const results = await this.#index.transaction(() => batch.map(({ work }, at) => applied(work, placed[at] ?? [])));
    for (const { segment } of placed.flat()) this.#unindexed.set(segment, (this.#unindexed.get(segment) ?? 0) - 1);
    for (const [at, { resolve, reject }] of batch.entries()) {
      const result = results[at] as Result;
      if (result.ok) resolve(result.value);
      else reject(result.error);
    }
  }

  async #append(batch: readonly Queued[]): Promise<readonly (readonly Placed[])[]> {
    const topics = new Set<number>();
    const placed: (readonly Placed[])[] = [];
    try {
      for (const { work } of batch) {
        if (work.retire !== undefined) await this.#segments.abandon(work.retire);
        if (work.append === undefined) {
          placed.push([]);
          continue;
        }
        const { topicNo, chunks } = work.append;
        if (this.#segments.needsNew(topicNo)) await this.#roll(topicNo, topics);
        topics.add(topicNo);
        const places = await this.#segments.append(topicNo, chunks);
        for (const { segment } of places) this.#unindexed.set(segment, (this.#unindexed.get(segment) ?? 0) + 1);
        placed.push(places);
      }
      await this.#segments.sync(topics);
      return placed;
    } catch (error) {
      for (const topicNo of topics) await this.#segments.abandon(topicNo);
      if (error instanceof PipelineError) throw error;
      throw new PipelineError('unavailable', 'The bus could not be written to disk.', {
        hint: 'Look for free space and disk errors.',
        cause: error,
      });
    }
  }

  /** A new segment for the topic. Its number is in the index first: a file without one is rubbish that anyone may remove. */
  async #roll(topicNo: number, unsynced: Set<number>): Promise<void> {
    if (unsynced.delete(topicNo)) await this.#segments.sync([topicNo]);
    const segment = await this.#index.transaction(() => {
      const number = this.#index.count('segment');
      this.#index.setSegment(number, topicNo, 0);
      return number;
    });
    await this.#segments.begin(topicNo, segment);
  }
}

type Result = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: PipelineError };

function applied(work: Work<unknown>, placed: readonly Placed[]): Result {
  try {
    return { ok: true, value: work.apply(placed) };
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error; // Perhaps half done: takes the whole transaction back.
    work.failed?.(error);
    return { ok: false, error };
  }
}
