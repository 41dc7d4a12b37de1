export { avroOracle } from './avro-oracle.ts';
export type { PostgresOptions, PostgresServer } from './postgres-server.ts';
export { freePort, startPostgres } from './postgres-server.ts';
