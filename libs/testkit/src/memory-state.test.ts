import { memoryStateStore, openMemoryState } from './memory-state.ts';
import { describeState } from './state-contract.ts';

describeState('memory', async (clock) => {
  const store = memoryStateStore();
  return { open: async () => openMemoryState({ clock, store }), [Symbol.asyncDispose]: async () => undefined };
});
