import type { Problem, State, StateEntry } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { RedisConnection } from './connection.ts';
import { lossesOf, warnOfLosses } from './durability.ts';
import type { RedisStateOptions } from './redis-options.ts';
import { addressOf } from './redis-options.ts';
import { LEASE_SCRIPT, PAGE_SCRIPT, PUT_SCRIPT, RELEASE_SCRIPT, REMOVE_SCRIPT } from './scripts.ts';

/** The version of the layout in Redis. A newer one is refused. */
const FORMAT_VERSION = 1;
/**
 * With appendfsync everysec Redis loses one second, two when its disk is slow; a replica that takes over lacks what had not reached it. With
 * appendfsync always on one machine nothing is lost, yet what it is set to may change under us.
 */
const MAY_LOSE_MS = 3_000;
/** Entries that are read at once by `list`. */
const PAGE_ENTRIES = 500;

/**
 * Opens the state store in Redis and looks whether it can be used: throws `unavailable` when it does not answer, `prerequisite` when it does
 * not let us in.
 */
export async function openRedisState(options: RedisStateOptions): Promise<State> {
  const keys = keysUnder(options.keyPrefix ?? 'nanosync');
  const connection = await RedisConnection.open(addressOf(options));
  try {
    const format = Number((await connection.hashField(keys.meta, 'format')) ?? FORMAT_VERSION);
    if (format > FORMAT_VERSION)
      throw new PipelineError(
        'newer-version',
        `The state in Redis at ${connection.place} was written by a newer nanosync (format ${format}).`,
        {
          hint: `Run that version, or give this one (format ${FORMAT_VERSION}) a key_prefix of its own.`,
        },
      );
    if (options.log !== undefined) await warnOfLosses(connection, options.log);
    return new RedisState(connection, keys);
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
}

interface Keys {
  readonly entries: string;
  readonly order: string;
  readonly meta: string;
  lease(name: string): string;
}

/** All keys of a deployment. The braces put them into one slot of a Redis Cluster, without which it refuses our scripts. */
function keysUnder(prefix: string): Keys {
  if (prefix === '' || /[{}\s]/.test(prefix))
    throw new PipelineError('config', `${JSON.stringify(prefix)} cannot be a prefix of keys in Redis.`, {
      hint: 'Use letters, digits, dots, colons, _ and -.',
    });
  const tag = `{${prefix}}`;
  return { entries: `${tag}:entries`, order: `${tag}:keys`, meta: `${tag}:meta`, lease: (name) => `${tag}:lease:${name}` };
}

/** Each method is one atomic script. One that got no reply is not repeated here: it may have been done. */
class RedisState implements State {
  readonly mayLoseMs = MAY_LOSE_MS;
  readonly #connection: RedisConnection;
  readonly #keys: Keys;

  constructor(connection: RedisConnection, keys: Keys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  async check(): Promise<readonly Problem[]> {
    return lossesOf(this.#connection);
  }

  async get(key: string): Promise<StateEntry | undefined> {
    const entry = await this.#connection.hashField(this.#keys.entries, key);
    return entry === null ? undefined : parsed(key, entry);
  }

  async list(prefix: string): Promise<readonly StateEntry[]> {
    const { entries: hash, order } = this.#keys;
    const found: StateEntry[] = [];
    // No text has the byte 0xff: this is above every key of the prefix.
    const to = prefix === '' ? '+' : Buffer.concat([Buffer.from(`(${prefix}`), Buffer.from([0xff])]);
    let from = prefix === '' ? '-' : `[${prefix}`;
    for (;;) {
      const page = (await this.#connection.script(PAGE_SCRIPT, [hash, order], [from, to, PAGE_ENTRIES])) as readonly (string | null)[];
      for (let at = 0; at < page.length; at += 2) found.push(parsed(page[at] as string, page[at + 1]));
      if (page.length < 2 * PAGE_ENTRIES) return found;
      from = `(${page.at(-2)}`;
    }
  }

  async put(key: string, value: unknown, expected: number): Promise<number | undefined> {
    const versions = await this.#put([{ key, value, expected }]);
    return versions === null ? undefined : Number(versions[0]);
  }

  async putAll(entries: readonly { readonly key: string; readonly value: unknown; readonly expected: number }[]): Promise<boolean> {
    if (entries.length === 0) return true;
    return (await this.#put(entries)) !== null;
  }

  async remove(key: string, expected?: number): Promise<boolean> {
    const { entries, order } = this.#keys;
    return (await this.#connection.script(REMOVE_SCRIPT, [entries, order], [key, expected === undefined ? '' : String(expected)])) === 1;
  }

  async lease(name: string, token: string, ttlMs: number): Promise<boolean> {
    return (await this.#connection.script(LEASE_SCRIPT, [this.#keys.lease(name)], [token, Math.ceil(ttlMs)])) === 1;
  }

  async isLeased(name: string): Promise<boolean> {
    return this.#connection.exists(this.#keys.lease(name));
  }

  async release(name: string, token: string): Promise<void> {
    await this.#connection.script(RELEASE_SCRIPT, [this.#keys.lease(name)], [token]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }

  async #put(
    writes: readonly { readonly key: string; readonly value: unknown; readonly expected: number }[],
  ): Promise<readonly string[] | null> {
    const args = writes.flatMap(({ key, value, expected }) => [key, toJson(key, value), String(expected)]);
    if (new Set(writes.map(({ key }) => key)).size !== writes.length) return null;
    const { entries, order, meta } = this.#keys;
    return (await this.#connection.script(PUT_SCRIPT, [entries, order, meta], [FORMAT_VERSION, ...args])) as readonly string[] | null;
  }
}

function parsed(key: string, entry: string | null | undefined): StateEntry {
  const [, version, json] = /^(\d+)\n([\s\S]*)$/.exec(entry ?? '') ?? [];
  if (version === undefined || json === undefined) throw new PipelineError('defect', `The entry ${key} in Redis is not as it was written.`);
  return { key, value: JSON.parse(json), version: Number(version) };
}

function toJson(key: string, value: unknown): string {
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new PipelineError('defect', `The value for ${key} is not JSON.`);
  return json;
}
