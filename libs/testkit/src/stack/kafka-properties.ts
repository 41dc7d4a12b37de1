import type { Certificates } from './certificates.ts';

/** The user that secured listeners know. */
export const KAFKA_USER = { username: 'nanosync', password: 'stack-secret' } as const;
/** Mechanisms that the SASL listeners offer. */
const SCRAM = ['SCRAM-SHA-256', 'SCRAM-SHA-512'];

/** The listeners that ask for something, by their protocol, and their ports. */
export interface SecuredListeners {
  readonly certificates: Certificates;
  readonly ports: Readonly<Record<'SASL_PLAINTEXT' | 'SSL' | 'SASL_SSL', number>>;
}

/** What {@link kafkaProperties} needs to know. */
export interface KafkaProperties {
  readonly port: number;
  readonly controller: number;
  readonly data: string;
  readonly secured?: SecuredListeners;
}

/** The text of server.properties: one copy of everything, few partitions of the internal topics, no waiting for a group's members. */
export function kafkaProperties({ port, controller, data, secured }: KafkaProperties): string {
  const ports: Readonly<Record<string, number>> = { PLAINTEXT: port, ...secured?.ports };
  const listeners = Object.entries(ports).map(([name, each]) => `${name}://127.0.0.1:${each}`);
  const protocols = [...Object.keys(ports), 'CONTROLLER'].map((name) => `${name}:${name === 'CONTROLLER' ? 'PLAINTEXT' : name}`);
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: [...listeners, `CONTROLLER://127.0.0.1:${controller}`].join(','),
    'advertised.listeners': listeners.join(','),
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': protocols.join(','),
    'log.dirs': data,
    'num.partitions': 1,
    'auto.create.topics.enable': false,
    'default.replication.factor': 1,
    'min.insync.replicas': 1,
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 5,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 5,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    // A broker that was killed is back at once instead of after its old session's end.
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    // Files of an index are made at their full size: 10 MB each otherwise, for every partition of every topic.
    'log.index.size.max.bytes': 1_048_576,
    'log.cleaner.dedupe.buffer.size': 16_777_216,
    ...(secured === undefined ? {} : securedProperties(secured)),
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/** What to give `StorageTool format` so that the user is known by SCRAM from the beginning. */
export function scramUsers(): readonly string[] {
  const { username, password } = KAFKA_USER;
  return SCRAM.flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${username},password=${password}]`]);
}

function securedProperties({ certificates, ports }: SecuredListeners): Readonly<Record<string, string>> {
  const module = (name: string, rest: string) => `org.apache.kafka.common.security.${name} required${rest};`;
  const plain = module('plain.PlainLoginModule', ` user_${KAFKA_USER.username}="${KAFKA_USER.password}"`);
  const properties: Record<string, string> = { 'sasl.enabled.mechanisms': ['PLAIN', ...SCRAM].join(',') };
  for (const protocol of Object.keys(ports)) {
    const prefix = `listener.name.${protocol.toLowerCase()}`;
    if (protocol.startsWith('SASL')) {
      properties[`${prefix}.plain.sasl.jaas.config`] = plain;
      for (const mechanism of SCRAM)
        properties[`${prefix}.${mechanism.toLowerCase()}.sasl.jaas.config`] = module('scram.ScramLoginModule', '');
    }
    if (protocol.endsWith('SSL')) {
      properties[`${prefix}.ssl.keystore.type`] = 'PEM';
      properties[`${prefix}.ssl.keystore.location`] = certificates.both;
    }
  }
  return properties;
}
