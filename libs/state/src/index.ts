export type { EmbeddedStateOptions } from './embedded/embedded-state.ts';
export { openEmbeddedState } from './embedded/embedded-state.ts';
