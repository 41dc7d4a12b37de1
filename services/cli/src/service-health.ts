import type { Metrics } from '@nanosync/core';
import type { Health } from './health.ts';

/** Knows of each service of this process whether it runs, and passes it on to the health file and the metrics. */
export class ServiceHealth implements Health {
  /** The services of this process. */
  readonly names: readonly string[];
  private readonly others: readonly Health[];
  private readonly metrics: Metrics | undefined;
  private readonly services = new Map<string, string | null>();

  constructor(names: readonly string[], others: readonly Health[], metrics?: Metrics) {
    this.names = names;
    this.others = others;
    this.metrics = metrics;
  }

  set(service: string, trouble: string | null): void {
    for (const other of this.others) other.set(service, trouble);
    this.services.set(service, trouble);
    this.metrics?.set('nanosync_service_up', { service }, trouble === null ? 1 : 0);
    if (trouble !== null) this.metrics?.count('nanosync_service_failures_total', { service });
  }

  /** Why services of this process do not run, a sentence each. */
  get troubles(): readonly string[] {
    return [...this.services].flatMap(([service, trouble]) => (trouble === null ? [] : [`${service} does not run: ${trouble}`]));
  }
}
