import { randomBytes } from 'node:crypto';
import { describeBus } from './bus-contract.ts';
import { memoryBusStore, openMemoryBus } from './memory-bus.ts';

describeBus('memory', async (clock) => {
  const store = memoryBusStore();
  const ids = { next: () => randomBytes(8).toString('hex') };
  return { open: (limits) => openMemoryBus({ clock, ids, store, ...limits }), [Symbol.asyncDispose]: async () => undefined };
});
