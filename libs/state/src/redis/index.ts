export type { RedisStateOptions, RedisTls } from './redis-options.ts';
export { openRedisState } from './redis-state.ts';
