import { METRICS } from '@nanosync/core';
import { expect, test } from 'vitest';
import type { PipelineStatus } from '../status.ts';
import { OF_PIPELINES, setPipelineMetrics } from './pipelines.ts';
import { createPrometheusMetrics, leaseLabels } from './prometheus.ts';

const table = {
  ...{ table: 'public.orders', state: 'live', lag: { seconds: 3, atLeast: false, bytes: 40 }, changesPublished: 9, changesApplied: 7 },
  ...{ waitingChanges: 2, rows: { built: 5, staged: 5, estimated: 6 }, quarantined: 1, defects: 0 },
  partitions: { planned: 0, reading: 1, read: 2, durable: 3 },
};
const status = {
  ...{ name: 'p', phase: 'streaming', healthy: false, troubles: [{ service: 'planner' }], tables: [table] },
  ...{ figures: { sourceSeconds: 2 }, retention: { state: 'safe', keptBytes: 10, leftBytes: 90, secondsLeft: null } },
} as unknown as PipelineStatus;

test('what the status says of pipelines and tables is set anew each time, and what is gone is gone', async () => {
  const metrics = createPrometheusMetrics();
  setPipelineMetrics(metrics, [status]);
  setPipelineMetrics(metrics, [status]);
  const text = await metrics.text();
  for (const line of [
    'nanosync_pipeline_phase{pipeline="p",phase="streaming"} 1',
    'nanosync_pipeline_phase{pipeline="p",phase="paused"} 0',
    'nanosync_pipeline_healthy{pipeline="p"} 0',
    'nanosync_pipeline_trouble{pipeline="p",service="planner"} 1',
    'nanosync_table_state{pipeline="p",table="public.orders",state="live"} 1',
    'nanosync_lag_seconds{pipeline="p",table="public.orders"} 3',
    'nanosync_lag_bytes{pipeline="p",table="public.orders"} 40',
    'nanosync_changes_applied_total{pipeline="p",table="public.orders"} 7',
    'nanosync_waiting_messages{pipeline="p",table="public.orders"} 2',
    'nanosync_partitions{pipeline="p",table="public.orders",phase="read"} 2',
    'nanosync_quarantined{pipeline="p",table="public.orders"} 1',
    'nanosync_retention_state{pipeline="p",state="safe"} 1',
    'nanosync_retention_left_bytes{pipeline="p"} 90',
    'nanosync_figures_age_seconds{pipeline="p"} 2',
  ])
    expect(text.split('\n')).toContain(line);
  expect(text).not.toContain('nanosync_retention_left_seconds{');
  setPipelineMetrics(metrics, []);
  const none = await metrics.text();
  for (const name of OF_PIPELINES) expect(none).not.toContain(`${name}{`);
});

test('every metric of ours is there with its help, and those of the process', async () => {
  const text = await createPrometheusMetrics().text();
  for (const [name, { help, kind }] of Object.entries(METRICS)) expect(text).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`);
  expect(text).toContain('process_resident_memory_bytes');
});

test('a lease is told while it is held', async () => {
  const metrics = createPrometheusMetrics();
  metrics.lease('sink-writer/p/public.orders', true);
  metrics.lease('snapshot-worker/place/0', true);
  expect(metrics.holds('sink-writer/p/public.orders')).toBe(true);
  expect(await metrics.text()).toContain('nanosync_lease_held{lease="sink-writer",pipeline="p",table="public.orders"} 1');
  metrics.lease('sink-writer/p/public.orders', false);
  expect([metrics.holds('sink-writer/p/public.orders'), await metrics.text()]).toEqual([
    false,
    expect.not.stringContaining('nanosync_lease_held{'),
  ]);
  expect(leaseLabels('planner/p')).toEqual({ lease: 'planner', pipeline: 'p', table: '' });
  expect(leaseLabels('snapshot-worker/place/0')).toBeUndefined();
});
