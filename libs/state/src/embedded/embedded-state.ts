import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Clock, PipelineError, type State, type StateEntry } from '@nanosync/core';
import { described, inTransaction, openDatabase } from './database.ts';

/** Settings of {@link openEmbeddedState}. */
export interface EmbeddedStateOptions {
  readonly directory: string;
  readonly clock: Clock;
  /**
   * The caller knows that no other server uses this directory (it holds the directory's lock): leases of an earlier process, which
   * may have been killed, are forgotten instead of waited for.
   */
  readonly forgetLeases?: boolean;
}

/** Opens the durable state store of one directory. Other processes may have it open as well. */
export async function openEmbeddedState(options: EmbeddedStateOptions): Promise<State> {
  const database = openDatabase(options.directory);
  if (options.forgetLeases === true) database.exec('DELETE FROM leases');
  return new EmbeddedState(database, options.clock);
}

interface Row {
  readonly key: string;
  readonly value: string;
  readonly version: number;
}

class EmbeddedState implements State {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  readonly #select: StatementSync;
  readonly #selectFrom: StatementSync;
  readonly #version: StatementSync;
  readonly #nextVersion: StatementSync;
  readonly #write: StatementSync;

  constructor(database: DatabaseSync, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
    this.#select = database.prepare('SELECT key, value, version FROM entries WHERE key = ?');
    this.#selectFrom = database.prepare('SELECT key, value, version FROM entries WHERE key >= ? ORDER BY key');
    this.#version = database.prepare('SELECT version FROM entries WHERE key = ?');
    // One counter for all keys: a removed and rewritten key never has an old version again.
    this.#nextVersion = database.prepare('UPDATE counter SET last = last + 1 RETURNING last');
    this.#write = database.prepare(
      'INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version',
    );
  }

  async get(key: string): Promise<StateEntry | undefined> {
    return this.#run(() => {
      const row = this.#select.get(key) as Row | undefined;
      return row && entryOf(row);
    });
  }

  async list(prefix: string): Promise<readonly StateEntry[]> {
    return this.#run(() => {
      const entries: StateEntry[] = [];
      for (const row of this.#selectFrom.iterate(prefix) as Iterable<Row>) {
        if (!row.key.startsWith(prefix)) break;
        entries.push(entryOf(row));
      }
      return entries;
    });
  }

  async put(key: string, value: unknown, expected: number): Promise<number | undefined> {
    const json = toJson(key, value);
    return this.#run(() => inTransaction(this.#database, () => (this.#versionOf(key) === expected ? this.#store(key, json) : undefined)));
  }

  async putAll(entries: readonly { readonly key: string; readonly value: unknown; readonly expected: number }[]): Promise<boolean> {
    const written = entries.map(({ key, value }) => ({ key, json: toJson(key, value) }));
    const keys = new Set(entries.map(({ key }) => key));
    return this.#run(() =>
      inTransaction(this.#database, () => {
        if (keys.size !== entries.length || entries.some(({ key, expected }) => this.#versionOf(key) !== expected)) return false;
        for (const { key, json } of written) this.#store(key, json);
        return true;
      }),
    );
  }

  async remove(key: string, expected?: number): Promise<boolean> {
    return this.#run(() =>
      inTransaction(this.#database, () => {
        if (expected !== undefined && this.#versionOf(key) !== expected) return false;
        this.#database.prepare('DELETE FROM entries WHERE key = ?').run(key);
        return true;
      }),
    );
  }

  async lease(name: string, token: string, ttlMs: number): Promise<boolean> {
    const now = this.#clock.nowMs();
    const take = `INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET token = excluded.token, expires_ms = excluded.expires_ms
      WHERE token = excluded.token OR expires_ms <= ?`;
    return this.#run(() => this.#database.prepare(take).run(name, token, now + ttlMs, now).changes === 1);
  }

  async isLeased(name: string): Promise<boolean> {
    const held = 'SELECT 1 FROM leases WHERE name = ? AND expires_ms > ?';
    return this.#run(() => this.#database.prepare(held).get(name, this.#clock.nowMs()) !== undefined);
  }

  async release(name: string, token: string): Promise<void> {
    this.#run(() => this.#database.prepare('DELETE FROM leases WHERE name = ? AND token = ?').run(name, token));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
  }

  #versionOf(key: string): number {
    return (this.#version.get(key) as { version: number } | undefined)?.version ?? 0;
  }

  #store(key: string, json: string): number {
    const { last } = this.#nextVersion.get() as { last: number };
    this.#write.run(key, json, last);
    return last;
  }

  #run<T>(action: () => T): T {
    if (!this.#database.isOpen) throw new PipelineError('unavailable', 'The state store is closed.');
    try {
      return action();
    } catch (error) {
      throw described(error, 'file');
    }
  }
}

function entryOf(row: Row): StateEntry {
  return { key: row.key, value: JSON.parse(row.value), version: row.version };
}

function toJson(key: string, value: unknown): string {
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new PipelineError('defect', `The value for ${key} is not JSON.`);
  return json;
}
