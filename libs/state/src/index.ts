import type { Clock, State } from '@nanosync/core';

/** Placeholder until the embedded state store is merged. */
export function openEmbeddedState(_options: { readonly directory: string; readonly clock: Clock }): Promise<State> {
  return Promise.reject(new Error('the embedded state store is not built yet'));
}
