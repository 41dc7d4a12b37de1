export type { EmbeddedStateOptions } from './embedded-state.ts';
export { openEmbeddedState } from './embedded-state.ts';
