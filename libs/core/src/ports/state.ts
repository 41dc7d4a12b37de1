import type { Problem } from './problem.ts';

/** A stored value with the version that a compare-and-set names. */
export interface StateEntry {
  readonly key: string;
  readonly value: unknown;
  readonly version: number;
}

/**
 * The store of anchors, plans and intent: JSON values under text keys.
 *
 * Durability: a write that returned survives the death of the process and of the store. Ordering: writes to one key are
 * ordered by version; nothing is promised between keys. It may lose its newest writes or everything when the store itself is
 * restored: nothing in it is truth for what is durable at the sink.
 */
export interface State extends AsyncDisposable {
  /**
   * A write that returned may be lost for so long when the store's machine stops; absent: a write that returned is never lost. What must never
   * get ahead of the store, such as what the source is told to forget, waits for so long.
   */
  readonly mayLoseMs?: number;
  /** What of the store's set-up may cost more than it needs; absent: there is nothing to set up. */
  check?(): Promise<readonly Problem[]>;
  get(key: string): Promise<StateEntry | undefined>;
  /** All entries whose key starts with `prefix`, in key order. */
  list(prefix: string): Promise<readonly StateEntry[]>;
  /**
   * Writes when the stored version is `expected` (0: the key must be absent) and returns the new version, or `undefined` when
   * someone else was first. A caller that got no answer may call again: at worst it is told that it was beaten by itself.
   */
  put(key: string, value: unknown, expected: number): Promise<number | undefined>;
  /** Writes several keys all together or not at all, each under the rules of {@link put}; false when one was beaten. */
  putAll(entries: readonly { readonly key: string; readonly value: unknown; readonly expected: number }[]): Promise<boolean>;
  /** Removes a key of this version, or whatever version when none is given; false when it was another. */
  remove(key: string, expected?: number): Promise<boolean>;
  /** Takes or renews a lease for an owner token; false while another token holds it. Advisory: fences live in the sink and the slot. */
  lease(name: string, token: string, ttlMs: number): Promise<boolean>;
  /** True while some token holds the lease: for a look from outside. */
  isLeased(name: string): Promise<boolean>;
  /** Gives a lease back; does nothing when another token holds it. */
  release(name: string, token: string): Promise<void>;
}
