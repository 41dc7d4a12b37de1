import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installOnce } from './cache.ts';
import { makeCertificates } from './certificates.ts';
import { downloadJars, findJava } from './java.ts';
import { probeKafka } from './kafka-probe.ts';
import { KAFKA_USER, kafkaProperties, type SecuredListeners, scramUsers } from './kafka-properties.ts';
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
  /** With {@link KafkaOptions.secured}: the listeners that ask for a password, for TLS, or for both. */
  readonly secured?: SecuredKafka;
}

/** The same broker, entered where it asks for something. Mechanisms: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512. */
export interface SecuredKafka {
  readonly sasl: readonly string[];
  readonly tls: readonly string[];
  readonly saslTls: readonly string[];
  readonly username: string;
  readonly password: string;
  /** File of the authority to trust. */
  readonly ca: string;
}

/** Settings of {@link startKafka}. */
export interface KafkaOptions extends ServiceOptions {
  /** Adds listeners with SASL and TLS. */
  readonly secured?: boolean;
}

/** Starts Apache Kafka: one node, KRaft, topics only when they are created. */
export async function startKafka(options: KafkaOptions): Promise<Service<KafkaAddress>> {
  const { directory } = options;
  const [java, home] = await Promise.all([findJava(), installKafka(options.log)]);
  const port = options.port ?? (await servicePort());
  const secured = options.secured === true ? await securedListeners(directory) : undefined;
  const files = {
    properties: join(directory, 'server.properties'),
    logging: join(directory, 'log4j2.yaml'),
    data: join(directory, 'data'),
  };
  mkdirSync(directory, { recursive: true });
  const settings = { port, controller: await servicePort(), data: files.data, ...(secured && { secured }) };
  writeFileSync(files.properties, kafkaProperties(settings));
  writeFileSync(files.logging, LOG4J);
  const classPath = join(home, '*');
  const format = ['format', '-t', CLUSTER_ID, '-c', files.properties, ...(secured === undefined ? [] : scramUsers())];
  if (!existsSync(join(files.data, 'meta.properties')))
    await runTool(java, { args: ['-cp', classPath, 'kafka.tools.StorageTool', ...format], cure: 'install it.' });
  const args = [...MEMORY, `-Dlog4j2.configurationFile=${files.logging}`, '-cp', classPath, 'kafka.Kafka', files.properties];
  return startService(
    {
      name: 'kafka',
      address: { brokers: [at(port)], ...(secured && { secured: securedAddress(secured) }) },
      launch: { command: java, args },
      check: (signal) => probeKafka(port, signal),
    },
    directory,
  );
}

async function securedListeners(directory: string): Promise<SecuredListeners> {
  const certificates = await makeCertificates(join(directory, 'certificates'));
  return { certificates, ports: { SASL_PLAINTEXT: await servicePort(), SSL: await servicePort(), SASL_SSL: await servicePort() } };
}

function securedAddress({ ports, certificates }: SecuredListeners): SecuredKafka {
  const { SASL_PLAINTEXT: sasl, SSL: tls, SASL_SSL: saslTls } = ports;
  return { sasl: [at(sasl)], tls: [at(tls)], saslTls: [at(saslTls)], ...KAFKA_USER, ca: certificates.ca };
}

const at = (port: number) => `127.0.0.1:${port}`;

/** Downloads Kafka's jars once. */
export function installKafka(log?: (line: string) => void): Promise<string> {
  return installOnce(`kafka-${KAFKA_VERSION}`, async (folder) => {
    log?.(`downloading Kafka ${KAFKA_VERSION} (43 MB)`);
    await downloadJars({ group: 'org.apache.kafka', name: 'kafka_2.13', version: KAFKA_VERSION }, folder);
  });
}

const LOG4J = `Configuration:
  Appenders:
    Console:
      name: out
      PatternLayout: { pattern: '%d %p %m (%c)%n' }
  Loggers:
    Root: { level: WARN, AppenderRef: { ref: out } }
`;
