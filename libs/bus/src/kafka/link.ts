import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { PipelineError } from '@nanosync/core';
import Broker from 'kafkajs/src/broker/index.js';
import ConnectionPool from 'kafkajs/src/network/connectionPool.js';
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js';
import { isLost } from './errors.ts';
import { kafkajsLogger } from './kafkajs-log.ts';
import type { KafkaSettings } from './options.ts';

/** The requests we write ourselves, with the version we write them in: topics by id need these. */
export const VERSIONS = { produce: { key: 0, version: 7 }, fetch: { key: 1, version: 13 }, metadata: { key: 3, version: 10 } } as const;
const CONNECT_MS = 5000;

/** The address of a broker. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * One connection to one broker, opened by its first request. A connection that breaks, or on which a request stays unanswered, is
 * closed for good, so that no late answer can be taken for another's: make a new link.
 */
export class Link {
  readonly address: Address;
  readonly #broker: Broker;
  #closed = false;

  constructor(settings: KafkaSettings, address: Address) {
    this.address = address;
    const logger = kafkajsLogger(settings.log);
    const connectMs = Math.min(CONNECT_MS, settings.requestTimeoutMs);
    const connectionPool = new ConnectionPool({
      ...address,
      clientId: settings.clientId,
      ssl: settings.ssl === undefined ? null : withoutUndefined(settings.ssl),
      sasl: settings.sasl === undefined ? null : { ...settings.sasl },
      logger,
      socketFactory: openSocket,
      connectionTimeout: connectMs,
      requestTimeout: settings.requestTimeoutMs,
      enforceRequestTimeout: true,
    });
    this.#broker = new Broker({ connectionPool, logger, authenticationTimeout: connectMs, allowAutoTopicCreation: false });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** One of kafkajs' own requests. */
  async call<T>(request: (broker: Broker) => Promise<T>): Promise<T> {
    try {
      await this.#connect();
      return await request(this.#broker);
    } catch (error) {
      if (isLost(error)) this.close();
      throw error;
    }
  }

  /** A request of ours. */
  async send<T>(request: KafkajsRequest<T>): Promise<T> {
    return this.call(async (broker) => (await broker.connectionPool.getConnection(0)).send(request));
  }

  /** Closes the connection at once; requests in flight fail. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#broker.connectionPool.pool) {
      connection.rejectRequests(lostError());
      connection.disconnect().catch(() => undefined);
      connection.socket?.destroy();
    }
  }

  async #connect(): Promise<void> {
    if (this.#closed) throw lostError();
    if (this.#broker.isConnected()) return;
    await this.#broker.connect();
    if (this.#closed) {
      this.close();
      throw lostError();
    }
    for (const { key, version } of Object.values(VERSIONS)) {
      if ((this.#broker.versions?.[key]?.maxVersion ?? 0) >= version) continue;
      throw new PipelineError('prerequisite', `The broker at ${this.address.host}:${this.address.port} is too old.`, {
        hint: 'nanosync needs Kafka 3.1 or newer: topics are told apart by their id.',
      });
    }
  }
}

function openSocket({ host, port, ssl, onConnect }: Address & { ssl: object | null; onConnect: () => void }) {
  const socket =
    ssl === null
      ? connectTcp({ host, port }, onConnect)
      : connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  return socket;
}

/** An error that counts as a lost connection. */
function lostError(): Error {
  return Object.assign(new Error('The connection was closed.'), { name: 'KafkaJSConnectionError' });
}

function withoutUndefined(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/**
 * kafkajs sets a timer after every answer, with a negative time when nothing waits, of which Node warns; this sets one only when
 * requests wait for a throttled broker.
 */
const schedule = RequestQueue.prototype.scheduleCheckPendingRequests;
RequestQueue.prototype.scheduleCheckPendingRequests = function (): void {
  if (this.pending.length > 0) schedule.call(this);
};
