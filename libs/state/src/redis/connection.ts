import { PipelineError } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import { Redis } from 'ioredis';
import { describedRedis } from './redis-error.ts';
import type { RedisAddress } from './redis-options.ts';
import { placeOf } from './redis-options.ts';

/** So long a connection may take, and a server that was sent something may stay silent, before the connection is given up. */
const CONNECT_MS = 5_000;
const SILENCE_MS = 10_000;
/** Waits between attempts to connect, in milliseconds, doubling. */
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1_000;
/** A call that comes while there is no connection waits for so many attempts to fail before it does. */
const PATIENT_ATTEMPTS = 3;
/** ... or for so long, in milliseconds. */
const PATIENCE_MS = 5_000;

/** What a command is sent with. */
export type Argument = string | Buffer | number;

/**
 * One connection that comes back by itself. A command is sent at most once: when its connection breaks before the reply came it fails,
 * whether Redis ran it or not, and is never sent again behind the caller's back. A command without a connection waits a little for
 * one; nothing is queued for ever.
 */
export class RedisConnection implements AsyncDisposable {
  readonly place: string;
  readonly #redis: Redis;
  #lastError: unknown;
  readonly #clock = systemClock();
  #waiting: Promise<void> | undefined;
  #isClosed = false;

  private constructor(address: RedisAddress) {
    this.place = placeOf(address);
    const { host, port, db, username, password, tls } = address;
    this.#redis = new Redis({
      ...{ host, port, db, family: 0, lazyConnect: true, protocol: 2, connectionName: 'nanosync', disableClientInfo: true },
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls: { ...tls, ...(/[a-z]/i.test(host) && !host.includes(':') ? { servername: host } : {}) } }),
      connectTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (times) => Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(times - 1, 10)),
      // After a failover the name may lead to the new primary; the command itself has failed.
      reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 1 : false),
    });
    this.#redis.on('error', (error) => {
      this.#lastError = error;
    });
    this.#redis.on('ready', () => {
      this.#lastError = undefined;
    });
  }

  /** Connects and logs in, or throws why that cannot be. */
  static async open(address: RedisAddress): Promise<RedisConnection> {
    const connection = new RedisConnection(address);
    try {
      await connection.#redis.connect();
      return connection;
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw describedRedis(connection.#lastError ?? error, connection.place);
    }
  }

  /** Runs one of our scripts. */
  async script(script: string, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#send(() => this.#redis.eval(script, keys.length, ...keys, ...args));
  }

  async hashField(hash: string, field: string): Promise<string | null> {
    return this.#send(() => this.#redis.hget(hash, field));
  }

  async exists(key: string): Promise<boolean> {
    return (await this.#send(() => this.#redis.exists(key))) === 1;
  }

  /** A section of what the server says about itself; each line `name:value`. */
  async info(section: string): Promise<string> {
    return this.#send(() => this.#redis.info(section));
  }

  /** A setting of the server, or undefined where this user may not ask. */
  async setting(name: string): Promise<string | undefined> {
    try {
      const [, value] = (await this.#redis.config('GET', name)) as readonly string[];
      return value;
    } catch {
      return undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#redis.disconnect();
  }

  async #send<T>(command: () => Promise<T>): Promise<T> {
    try {
      await this.#connected();
      return await command();
    } catch (error) {
      if (this.#isClosed) throw new PipelineError('unavailable', 'The state store is closed.', { cause: error });
      throw describedRedis(error, this.place);
    }
  }

  /** Resolves at once with a connection; without one when it is back, or throws why it is not after a while. */
  #connected(): Promise<void> {
    if (this.#isClosed) return Promise.reject(new PipelineError('unavailable', 'The state store is closed.'));
    if (this.#redis.status === 'ready') return Promise.resolve();
    // All calls wait together.
    this.#waiting ??= this.#wait().finally(() => {
      this.#waiting = undefined;
    });
    return this.#waiting;
  }

  async #wait(): Promise<void> {
    const redis = this.#redis;
    if (redis.status === 'end') redis.connect().catch(() => undefined); // An error that the driver does not try again after.
    const over = new AbortController();
    let left = PATIENT_ATTEMPTS;
    const end = () => over.abort();
    const closed = () => {
      if (--left === 0) end();
    };
    redis.on('ready', end).on('close', closed).on('end', end);
    // A server that takes connections and says nothing fails no attempt for long.
    await this.#clock.sleep(PATIENCE_MS, over.signal);
    redis.off('ready', end).off('close', closed).off('end', end);
    if (redis.status !== 'ready') throw this.#lastError ?? new Error('There is no connection.');
  }
}
