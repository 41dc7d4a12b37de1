import type { Clock } from '@nanosync/core';
import type { Client } from 'pg';
import type { Connect } from './connection.ts';
import { destroy } from './connection.ts';

/** How long a connection may wait for the next range. Long enough between two ranges, too short to be missed by anyone else. */
const IDLE_MS = 2_000;

/**
 * Connections that wait for the next range. A new connection costs as much as reading some thousand rows; ranges follow each
 * other closely while a snapshot runs, and none is held when it is over.
 */
export class IdleConnections implements AsyncDisposable {
  private readonly connect: Connect;
  private readonly clock: Clock;
  private readonly purpose: string;
  private readonly closing = new AbortController();
  /** Each with a mark of when it was given back. */
  private readonly idle = new Map<Client, symbol>();

  constructor(connect: Connect, clock: Clock, purpose: string) {
    this.connect = connect;
    this.clock = clock;
    this.purpose = purpose;
  }

  /** A connection on which `first` has just succeeded: a waiting one that still works, or a new one. */
  async take(first: string): Promise<Client> {
    for (const client of this.idle.keys()) {
      this.idle.delete(client);
      try {
        await client.query(first);
        return client;
      } catch {
        // The server ended it meanwhile, which is no failure of the read that would have used it.
        destroy(client);
      }
    }
    const client = await this.connect.open(this.purpose);
    client.once('end', () => this.idle.delete(client));
    try {
      await client.query(first);
      return client;
    } catch (error) {
      destroy(client);
      throw error;
    }
  }

  /** Takes back a connection that is outside any transaction. */
  give(client: Client): void {
    const mark = Symbol('given');
    this.idle.set(client, mark);
    const expire = () => this.drop(client, mark);
    this.clock.sleep(IDLE_MS, this.closing.signal).then(expire, expire);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closing.abort();
    await Promise.all([...this.idle.keys()].map((client) => this.drop(client, this.idle.get(client))));
  }

  /** Ends a connection that nobody took since; politely, as the server logs a lost one. */
  private async drop(client: Client, mark: symbol | undefined): Promise<void> {
    if (this.idle.get(client) !== mark) return;
    this.idle.delete(client);
    await client.end().catch(() => {});
  }
}
