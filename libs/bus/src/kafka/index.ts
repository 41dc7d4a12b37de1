export { openKafkaBus } from './kafka-bus.ts';
export type { KafkaBusOptions, KafkaSasl, KafkaTls } from './options.ts';
export type { SchemaRegistryOptions } from './schema-registry.ts';
export { openSchemaRegistry } from './schema-registry.ts';
