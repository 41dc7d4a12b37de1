export type { PostgresSourceOptions } from './source.ts';
export { openPostgresSource } from './source.ts';
