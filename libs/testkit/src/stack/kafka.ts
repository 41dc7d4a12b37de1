import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installOnce } from './cache.ts';
import { downloadJars, findJava } from './java.ts';
import { probeKafka } from './kafka-probe.ts';
import { servicePort } from './port.ts';
import { type Service, type ServiceOptions, startService } from './service.ts';
import { runTool } from './tool.ts';

/** The version of Apache Kafka that tests run on. */
export const KAFKA_VERSION = '4.4.0';
/** Any 16 bytes in base64url will do; a fixed one keeps a data folder and its broker together. */
const CLUSTER_ID = 'bmFub3N5bmMtc3RhY2stMQ';
const MEMORY = ['-Xms256m', '-Xmx512m', '-XX:+UseSerialGC'];

/** Where a Kafka is. */
export interface KafkaAddress {
  readonly brokers: readonly string[];
}

/** Starts Apache Kafka: one node, KRaft, topics only when they are created. */
export async function startKafka(options: ServiceOptions): Promise<Service<KafkaAddress>> {
  const [java, home] = await Promise.all([findJava(), installKafka(options.log)]);
  const port = options.port ?? (await servicePort());
  const properties = join(options.directory, 'server.properties');
  const data = join(options.directory, 'data');
  mkdirSync(options.directory, { recursive: true });
  writeFileSync(properties, propertiesText({ port, controller: await servicePort(), data }));
  writeFileSync(join(options.directory, 'log4j2.yaml'), LOG4J);
  const classPath = join(home, '*');
  if (!existsSync(join(data, 'meta.properties')))
    await runTool(java, { args: ['-cp', classPath, 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties], cure: '' });
  const logging = `-Dlog4j2.configurationFile=${join(options.directory, 'log4j2.yaml')}`;
  return startService(
    {
      name: 'kafka',
      address: { brokers: [`127.0.0.1:${port}`] },
      launch: { command: java, args: [...MEMORY, logging, '-cp', classPath, 'kafka.Kafka', properties] },
      check: (signal) => probeKafka(port, signal),
    },
    options.directory,
  );
}

/** Downloads Kafka's jars once. */
export function installKafka(log?: (line: string) => void): Promise<string> {
  return installOnce(`kafka-${KAFKA_VERSION}`, async (folder) => {
    log?.(`downloading Kafka ${KAFKA_VERSION} (43 MB)`);
    await downloadJars({ group: 'org.apache.kafka', name: 'kafka_2.13', version: KAFKA_VERSION }, folder);
  });
}

/** One copy of everything, few partitions of the internal topics, and no waiting for more members of a group. */
function propertiesText({ port, controller, data }: { readonly port: number; readonly controller: number; readonly data: string }): string {
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
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
    'log.retention.check.interval.ms': 5000,
    // The file buffers of many small topics; each index takes 10 MB of disk space otherwise.
    'log.index.size.max.bytes': 1_048_576,
    'log.cleaner.dedupe.buffer.size': 16_777_216,
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

const LOG4J = `Configuration:
  Appenders:
    Console:
      name: out
      PatternLayout: { pattern: '%d %p %m (%c)%n' }
  Loggers:
    Root: { level: WARN, AppenderRef: { ref: out } }
`;
