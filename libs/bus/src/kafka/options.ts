import type { Clock, Log } from '@nanosync/core';

/** TLS to the brokers. All are texts in PEM form; what is left out is the system's. An empty object means TLS with the system's authorities. */
export interface KafkaTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The name that the brokers' certificate must carry, where it is not the host's. */
  readonly servername?: string | undefined;
}

/** How to log in to the brokers. The password never appears in a log line or an error. */
export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: string;
}

/** Settings of {@link openKafkaBus}. */
export interface KafkaBusOptions {
  /** Addresses as host:port; one that answers is enough to find the others. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly ssl?: KafkaTls | undefined;
  readonly sasl?: KafkaSasl | undefined;
  /** Copies of each message on topics that nanosync creates. Default 1. */
  readonly replicationFactor?: number | undefined;
  /** The largest message, and batch of messages, that the brokers take; set on topics that nanosync creates. Default 8 MiB. */
  readonly maxMessageBytes?: number | undefined;
  readonly log: Log;
  readonly clock: Clock;
  /** How long a send may stay unanswered before it counts as failed. Default 30 s. */
  readonly sendTimeoutMs?: number | undefined;
  /** How long other requests may stay unanswered. Default 10 s. */
  readonly requestTimeoutMs?: number | undefined;
  /** How long a broker may be away before readers, and whoever asks about topics, are told. Default 5 s. */
  readonly patienceMs?: number | undefined;
  /** After how long without a heartbeat a dead group member's messages go to the others. Default 10 s. */
  readonly sessionTimeoutMs?: number | undefined;
}

type Optional = 'ssl' | 'sasl';

/** Settings with every default filled in. */
export type KafkaSettings = Pick<KafkaBusOptions, Optional> & {
  readonly [K in keyof Omit<KafkaBusOptions, Optional>]-?: Exclude<KafkaBusOptions[K], undefined>;
};

/** Fills in the defaults. */
export function settingsOf(options: KafkaBusOptions): KafkaSettings {
  return {
    brokers: options.brokers,
    clientId: options.clientId,
    ssl: options.ssl,
    sasl: options.sasl,
    log: options.log,
    clock: options.clock,
    replicationFactor: options.replicationFactor ?? 1,
    maxMessageBytes: options.maxMessageBytes ?? 8 * 1_048_576,
    sendTimeoutMs: options.sendTimeoutMs ?? 30_000,
    requestTimeoutMs: options.requestTimeoutMs ?? 10_000,
    patienceMs: options.patienceMs ?? 5000,
    sessionTimeoutMs: options.sessionTimeoutMs ?? 10_000,
  };
}
