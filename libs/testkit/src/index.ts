export { avroOracle } from './avro-oracle.ts';
export type { MemoryWarehouse } from './memory-sink.ts';
export { memoryWarehouse } from './memory-sink.ts';
export type { PostgresOptions, PostgresServer } from './postgres-server.ts';
export { freePort, startPostgres } from './postgres-server.ts';
export { describeSink } from './sink-contract.ts';
export { at, cellText, changeOf, endOf, ORDERS, order, orderText, rowBatchOf, without } from './sink-fixtures.ts';
export type { SinkHarness } from './sink-scenario.ts';
