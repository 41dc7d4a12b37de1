import type { MemoryStateStore } from '@nanosync/testkit';
import { memoryStateStore } from '@nanosync/testkit';

type Entry = { readonly json: string; readonly version: number };

/** Entries of a state store that remembers when each was written, so that it can go back to what it was a while ago. */
class Entries extends Map<string, Entry> {
  readonly changes: { readonly atMs: number; readonly key: string; readonly before: Entry | undefined }[] = [];
  nowMs: () => number = () => 0;
  written: (key: string, json: string | undefined, before: string | undefined) => void = () => {};

  override set(key: string, entry: Entry): this {
    const before = this.get(key);
    this.changes.push({ atMs: this.nowMs(), key, before });
    super.set(key, entry);
    this.written(key, entry.json, before?.json);
    return this;
  }

  override delete(key: string): boolean {
    const before = this.get(key);
    if (before === undefined) return false;
    this.changes.push({ atMs: this.nowMs(), key, before });
    super.delete(key);
    this.written(key, undefined, before.json);
    return true;
  }

  /** Takes back what was written after this time. */
  rewindTo(ms: number): void {
    for (let last = this.changes.at(-1); last !== undefined && last.atMs > ms; last = this.changes.at(-1)) {
      this.changes.pop();
      if (last.before === undefined) super.delete(last.key);
      else super.set(last.key, last.before);
    }
  }
}

/** A state store that can lose its newest writes, or everything. */
export interface StateHistory {
  readonly store: MemoryStateStore;
  rewind(byMs: number): void;
  wipe(): void;
  /** What is there now was there for long: it is not lost by going back. */
  settle(): void;
}

/** Makes one; `written` hears of every write that the services do. */
export function stateHistory(nowMs: () => number, written: Entries['written']): StateHistory {
  const entries = new Entries();
  entries.nowMs = nowMs;
  entries.written = written;
  const store: MemoryStateStore = { ...memoryStateStore(), entries };
  return {
    store,
    rewind: (byMs) => entries.rewindTo(nowMs() - byMs),
    wipe: () => {
      entries.changes.length = 0;
      for (const key of [...entries.keys()]) Map.prototype.delete.call(entries, key);
      store.leases.clear();
    },
    settle: () => {
      entries.changes.length = 0;
    },
  };
}
