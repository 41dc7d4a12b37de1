export type { EmbeddedBusOptions } from './embedded-bus.ts';
export { openEmbeddedBus } from './embedded-bus.ts';
