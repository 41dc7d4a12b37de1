export type { EmbeddedBusOptions } from './embedded/embedded-bus.ts';
export { openEmbeddedBus } from './embedded/embedded-bus.ts';
