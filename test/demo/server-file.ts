import { writeFileSync } from 'node:fs';
import type { Stack } from '@nanosync/testkit';

/** The engines that a cluster stands on. */
export type ClusterEngines = Pick<Stack<'kafka' | 'registry' | 'redis'>, 'kafka' | 'registry' | 'redis'>;

/** Writes a server file as a user would. The prefix keeps several clusters on the same engines apart. */
export function writeServerFile(file: string, { kafka, registry, redis }: ClusterEngines, prefix: string, apiPort = 0): string {
  const text = `bus:
  kafka:
    brokers: [${kafka.address.brokers.map((broker) => JSON.stringify(broker)).join(', ')}]
    topic_prefix: ${prefix}
    replication_factor: 1
  registry:
    url: ${registry.address.url}
state:
  redis:
    url: ${redis.address.url}
    key_prefix: ${prefix}
api: { listen: "127.0.0.1:${apiPort}" }
`;
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}
