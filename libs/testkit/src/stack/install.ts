import { installEmulator } from './bigquery-install.ts';
import { findJava } from './java.ts';
import { installKafka } from './kafka.ts';
import { findRedis } from './redis-install.ts';
import { installRegistry } from './registry.ts';

/** Downloads everything that the stack needs and is not in the cache; all that is missing is said at once. */
export async function installStack(log?: (line: string) => void): Promise<void> {
  const outcomes = await Promise.allSettled([findJava(), installKafka(log), installRegistry(log), findRedis(log), installEmulator(log)]);
  const reasons = new Set(outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [(outcome.reason as Error).message] : [])));
  if (reasons.size > 0) throw new Error([...reasons].join('\n'));
}
