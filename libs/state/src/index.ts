export type { EmbeddedStateOptions } from './embedded/embedded-state.ts';
export { openEmbeddedState } from './embedded/embedded-state.ts';
export type { RedisStateOptions, RedisTls } from './redis/redis-options.ts';
export { openRedisState } from './redis/redis-state.ts';
