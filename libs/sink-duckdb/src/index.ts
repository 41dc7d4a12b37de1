import type { Log, Sink } from '@nanosync/core';

/** Placeholder until the DuckDB sink is merged. */
export function openDuckdbSink(_options: {
  readonly path: string;
  readonly memoryLimit?: string;
  readonly threads?: number;
  readonly log: Log;
}): Promise<Sink> {
  return Promise.reject(new Error('the DuckDB sink is not built yet'));
}
