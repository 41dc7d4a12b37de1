import { clusterStack, describeBus } from '@nanosync/testkit';
import { openSchemaRegistry } from './schema-registry.ts';
import { openTestBus, realClock } from './testing/test-bus.ts';

describeBus('kafka', async (clock) => {
  const { kafka, registry } = await clusterStack('kafka', 'registry');
  return {
    nowMs: () => Date.now(),
    open: async (limits) => ({
      bus: await openTestBus({ brokers: kafka.brokers, clock: realClock(clock), sessionTimeoutMs: 6000, ...limits }),
      registry: openSchemaRegistry(registry),
    }),
    [Symbol.asyncDispose]: async () => {},
  };
});
