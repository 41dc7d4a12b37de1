import type { CounterName, GaugeName, HistogramName, MetricDefinition, MetricName, Metrics } from '@nanosync/core';
import { METRICS } from '@nanosync/core';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** The metrics of this process: what its services count, and what a collector is given. */
export interface PrometheusMetrics extends Metrics {
  /** Forgets all values of these, before they are set anew: a table that is gone must not stay. */
  forget(names: readonly (GaugeName | CounterName)[]): void;
  /** True while this process holds the lease. */
  holds(lease: string): boolean;
  /** The content type of {@link text}. */
  readonly contentType: string;
  /** All of them as text. */
  text(): Promise<string>;
}

/** Labels of a lease by its name: `planner/p`, `cdc-capture/p`, `sink-writer/p/rows`, `sink-writer/p/public.orders`, `snapshot-worker/place/0`. */
export function leaseLabels(name: string): { readonly lease: string; readonly pipeline: string; readonly table: string } | undefined {
  const [service = '', pipeline = '', ...rest] = name.split('/');
  if (!['planner', 'cdc-capture', 'sink-writer'].includes(service) || pipeline === 'place') return undefined;
  return { lease: service, pipeline, table: rest.join('/') };
}

/** Metrics in a registry of their own, with those of process and runtime. */
export function createPrometheusMetrics(): PrometheusMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const made = new Map<MetricName, Gauge | Counter | Histogram>();
  for (const [name, definition] of Object.entries(METRICS)) made.set(name as MetricName, make(registry, name, definition));
  const gauge = (name: GaugeName) => made.get(name) as Gauge;
  const counter = (name: CounterName) => made.get(name) as Counter;
  const leases = new Set<string>();
  return {
    set: (name, labels, value) => gauge(name).set(labels, value),
    move: (name, labels, by) => gauge(name).inc(labels, by),
    count: (name, labels, by = 1) => counter(name).inc(labels, by),
    observe: (name, labels, value) => (made.get(name satisfies HistogramName) as Histogram).observe(labels, value),
    lease: (name, held) => {
      if (held) leases.add(name);
      else leases.delete(name);
      const labels = leaseLabels(name);
      if (labels === undefined) return;
      if (held) gauge('nanosync_lease_held').set(labels, 1);
      else gauge('nanosync_lease_held').remove(labels);
    },
    forget: (names) => {
      for (const name of names) made.get(name)?.reset();
    },
    holds: (lease) => leases.has(lease),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}

function make(registry: Registry, name: string, { kind, help, labels, buckets }: MetricDefinition): Gauge | Counter | Histogram {
  const base = { name, help, labelNames: [...labels], registers: [registry] };
  switch (kind) {
    case 'gauge':
      return new Gauge(base);
    case 'counter':
      return new Counter(base);
    case 'histogram':
      return new Histogram({ ...base, buckets: [...(buckets ?? [])] });
  }
}
