import { type Clock, PipelineError, type State, type StateEntry } from '@nanosync/core';

/** What survives the end of a {@link MemoryState}: a test opens a new one over it, as after a restart. */
export interface MemoryStateStore {
  readonly entries: Map<string, { readonly json: string; readonly version: number }>;
  readonly leases: Map<string, { readonly token: string; readonly expiresMs: number }>;
  lastVersion: number;
}

/** An empty store. */
export function memoryStateStore(): MemoryStateStore {
  return { entries: new Map(), leases: new Map(), lastVersion: 0 };
}

/** The state store in memory, with the semantics of the durable ones. */
export function openMemoryState(options: { readonly clock: Clock; readonly store?: MemoryStateStore; readonly mayLoseMs?: number }): State {
  return new MemoryState(options.clock, options.store ?? memoryStateStore(), options.mayLoseMs ?? 0);
}

class MemoryState implements State {
  readonly mayLoseMs: number;
  readonly #clock: Clock;
  readonly #store: MemoryStateStore;

  constructor(clock: Clock, store: MemoryStateStore, mayLoseMs: number) {
    this.mayLoseMs = mayLoseMs;
    this.#clock = clock;
    this.#store = store;
  }

  async get(key: string): Promise<StateEntry | undefined> {
    const entry = this.#store.entries.get(key);
    return entry && { key, value: JSON.parse(entry.json), version: entry.version };
  }

  async list(prefix: string): Promise<readonly StateEntry[]> {
    const keys = [...this.#store.entries.keys()].filter((key) => key.startsWith(prefix)).sort(compareKeys);
    return keys.map((key) => {
      const { json, version } = this.#store.entries.get(key) as { json: string; version: number };
      return { key, value: JSON.parse(json), version };
    });
  }

  async put(key: string, value: unknown, expected: number): Promise<number | undefined> {
    const json = toJson(key, value);
    if (this.#version(key) !== expected) return undefined;
    return this.#write(key, json);
  }

  async putAll(entries: readonly { readonly key: string; readonly value: unknown; readonly expected: number }[]): Promise<boolean> {
    const written = entries.map(({ key, value }) => ({ key, json: toJson(key, value) }));
    const keys = new Set(entries.map(({ key }) => key));
    if (keys.size !== entries.length || entries.some(({ key, expected }) => this.#version(key) !== expected)) return false;
    for (const { key, json } of written) this.#write(key, json);
    return true;
  }

  async remove(key: string, expected?: number): Promise<boolean> {
    if (expected !== undefined && this.#version(key) !== expected) return false;
    this.#store.entries.delete(key);
    return true;
  }

  async lease(name: string, token: string, ttlMs: number): Promise<boolean> {
    const held = this.#store.leases.get(name);
    const now = this.#clock.nowMs();
    if (held !== undefined && held.token !== token && held.expiresMs > now) return false;
    this.#store.leases.set(name, { token, expiresMs: now + ttlMs });
    return true;
  }

  async isLeased(name: string): Promise<boolean> {
    return (this.#store.leases.get(name)?.expiresMs ?? 0) > this.#clock.nowMs();
  }

  async release(name: string, token: string): Promise<void> {
    if (this.#store.leases.get(name)?.token === token) this.#store.leases.delete(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #version(key: string): number {
    return this.#store.entries.get(key)?.version ?? 0;
  }

  #write(key: string, json: string): number {
    const version = ++this.#store.lastVersion;
    this.#store.entries.set(key, { json, version });
    return version;
  }
}

function toJson(key: string, value: unknown): string {
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new PipelineError('defect', `The value for ${key} is not JSON.`);
  return json;
}

function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
