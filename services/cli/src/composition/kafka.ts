import * as entrance from '@nanosync/bus';
import type { Bus, Clock, Log, Registry } from '@nanosync/core';
import type { KafkaSettings, TlsSettings } from '@nanosync/runtime';

interface KafkaEntrance {
  openKafkaBus(options: {
    readonly brokers: readonly string[];
    readonly clientId: string;
    readonly replicationFactor: number;
    readonly maxMessageBytes: number | undefined;
    readonly ssl: TlsSettings | undefined;
    readonly sasl: NonNullable<KafkaSettings['sasl']> | undefined;
    readonly log: Log;
    readonly clock: Clock;
  }): Promise<Bus>;
  openSchemaRegistry(options: {
    readonly url: string;
    readonly username: string | undefined;
    readonly password: string | undefined;
    readonly ca: string | undefined;
  }): Registry;
}

/** The part of the bus's adapter that reaches Kafka and the registry. */
export const { openKafkaBus, openSchemaRegistry } = entrance as unknown as KafkaEntrance;
