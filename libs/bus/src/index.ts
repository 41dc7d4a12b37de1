import type { Bus, Clock, Registry } from '@nanosync/core';

/** Placeholder until the embedded bus is merged. */
export function openEmbeddedBus(_options: {
  readonly directory: string;
  readonly clock: Clock;
}): Promise<{ bus: Bus; registry: Registry }> {
  return Promise.reject(new Error('the embedded bus is not built yet'));
}
