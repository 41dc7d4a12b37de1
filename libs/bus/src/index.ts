export type { EmbeddedBusOptions } from './embedded/embedded-bus.ts';
export { openEmbeddedBus, openEmbeddedBusForReading } from './embedded/embedded-bus.ts';
