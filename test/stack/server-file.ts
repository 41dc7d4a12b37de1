import type { ServiceName } from '@nanosync/testkit';
import type { RecordedService } from './stack-record.ts';

/** The text of a server file for the services of nanosync; undefined when the stack lacks one that they need. */
export function serverFile(services: readonly RecordedService[]): string | undefined {
  const kafka = addressOf(services, 'kafka');
  const registry = addressOf(services, 'registry');
  const redis = addressOf(services, 'redis');
  if (kafka === undefined || registry === undefined || redis === undefined) return undefined;
  return `# Written by "npm run stack -- up". Use it: npx nanosync service planner --config <this file>
bus:
  kafka: { brokers: ${JSON.stringify(kafka.brokers)}, replication_factor: 1 }
  registry: { url: ${JSON.stringify(registry.url)} }
state:
  redis: { url: ${JSON.stringify(redis.url)} }
`;
}

function addressOf<Name extends ServiceName>(
  services: readonly RecordedService[],
  name: Name,
): RecordedService<Name>['address'] | undefined {
  return services.find((service): service is RecordedService<Name> => service.name === name)?.address;
}
