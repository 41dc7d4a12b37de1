import type { Clock, Log, Source } from '@nanosync/core';

/** Placeholder until the PostgreSQL source is merged. */
export function openPostgresSource(_options: {
  readonly dsn: string;
  readonly applicationName: string;
  readonly log: Log;
  readonly clock: Clock;
}): Promise<Source> {
  return Promise.reject(new Error('the PostgreSQL source is not built yet'));
}
