export type { EmbeddedBusOptions } from './embedded/embedded-bus.ts';
export { openEmbeddedBus, openEmbeddedBusForReading } from './embedded/embedded-bus.ts';
export { openKafkaBus } from './kafka/kafka-bus.ts';
export type { KafkaBusOptions, KafkaSasl, KafkaTls } from './kafka/options.ts';
export type { SchemaRegistryOptions } from './kafka/schema-registry.ts';
export { openSchemaRegistry } from './kafka/schema-registry.ts';
