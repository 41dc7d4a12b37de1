import { listDatasets } from './bigquery.ts';
import { probeKafka } from './kafka-probe.ts';
import { asksForPassword } from './postgres.ts';
import { ping } from './redis.ts';
import { listSubjects } from './registry.ts';
import type { ServiceName, StackAddresses } from './stack.ts';

/** How long a service may take to answer. */
const CALL_MS = 15_000;

type Checks = { readonly [K in ServiceName]: (address: StackAddresses[K], signal: AbortSignal) => Promise<void> };

const CHECKS: Checks = {
  kafka: ({ brokers }, signal) => probeKafka(Number(brokers[0]?.split(':')[1]), signal),
  registry: ({ url }, signal) => listSubjects(url, signal),
  redis: ({ port, secured }, signal) => ping(port, secured, signal),
  bigquery: ({ url }, signal) => listDatasets(url, signal),
  postgres: ({ port }, signal) => asksForPassword(port, signal),
};

/** One real call to a service that any process may have started; rejects when it is not answered as it should be. */
export function checkService<Name extends ServiceName>(name: Name, address: StackAddresses[Name]): Promise<void> {
  return CHECKS[name](address, AbortSignal.timeout(CALL_MS));
}
