export type { EmbeddedBusOptions } from './embedded-bus.ts';
export { openEmbeddedBus, openEmbeddedBusForReading } from './embedded-bus.ts';
