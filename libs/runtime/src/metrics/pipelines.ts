import type { CounterName, GaugeName } from '@nanosync/core';
import { PIPELINE_MACHINE } from '@nanosync/core';
import type { PipelineStatus } from '../status.ts';
import type { TableStatus } from '../table-status.ts';
import type { PrometheusMetrics } from './prometheus.ts';

/** Metrics that are made of the status of pipelines. */
export const OF_PIPELINES = [
  ...(['nanosync_pipeline_phase', 'nanosync_pipeline_healthy', 'nanosync_pipeline_trouble', 'nanosync_table_state'] as const),
  ...(['nanosync_lag_seconds', 'nanosync_lag_bytes', 'nanosync_changes_published_total', 'nanosync_changes_applied_total'] as const),
  ...(['nanosync_waiting_messages', 'nanosync_rows_copied', 'nanosync_rows_estimated', 'nanosync_partitions'] as const),
  ...(['nanosync_quarantined', 'nanosync_defects', 'nanosync_retention_state', 'nanosync_retention_kept_bytes'] as const),
  ...(['nanosync_retention_left_bytes', 'nanosync_retention_left_seconds', 'nanosync_figures_age_seconds'] as const),
] satisfies readonly (GaugeName | CounterName)[];

const STATES = ['safe', 'at risk', 'lost', 'unlimited', 'none'] as const;
const PARTITION_PHASES = ['planned', 'reading', 'read', 'durable'] as const;

/** Sets what the status of these pipelines says, and forgets what it said of others. */
export function setPipelineMetrics(metrics: PrometheusMetrics, statuses: readonly PipelineStatus[]): void {
  metrics.forget(OF_PIPELINES);
  for (const status of statuses) {
    setPipeline(metrics, status);
    for (const table of status.tables) setTable(metrics, status.name, table);
  }
}

function setPipeline(metrics: PrometheusMetrics, { name: pipeline, phase, healthy, troubles, retention, figures }: PipelineStatus): void {
  for (const one of Object.keys(PIPELINE_MACHINE)) metrics.set('nanosync_pipeline_phase', { pipeline, phase: one }, one === phase ? 1 : 0);
  metrics.set('nanosync_pipeline_healthy', { pipeline }, healthy ? 1 : 0);
  for (const { service } of troubles) metrics.set('nanosync_pipeline_trouble', { pipeline, service }, 1);
  if (figures.sourceSeconds !== null) metrics.set('nanosync_figures_age_seconds', { pipeline }, figures.sourceSeconds);
  if (retention === null) return;
  for (const state of STATES) metrics.set('nanosync_retention_state', { pipeline, state }, state === retention.state ? 1 : 0);
  metrics.set('nanosync_retention_kept_bytes', { pipeline }, retention.keptBytes);
  if (retention.leftBytes !== null) metrics.set('nanosync_retention_left_bytes', { pipeline }, retention.leftBytes);
  if (retention.secondsLeft !== null) metrics.set('nanosync_retention_left_seconds', { pipeline }, retention.secondsLeft);
}

function setTable(metrics: PrometheusMetrics, pipeline: string, status: TableStatus): void {
  const labels = { pipeline, table: status.table };
  metrics.set('nanosync_table_state', { ...labels, state: status.state }, 1);
  if (status.lag !== null) {
    metrics.set('nanosync_lag_seconds', labels, status.lag.seconds);
    metrics.set('nanosync_lag_bytes', labels, status.lag.bytes);
  }
  metrics.count('nanosync_changes_published_total', labels, status.changesPublished);
  metrics.count('nanosync_changes_applied_total', labels, status.changesApplied);
  metrics.set('nanosync_waiting_messages', labels, status.waitingChanges);
  metrics.set('nanosync_rows_copied', labels, Math.max(status.rows.built, status.rows.staged));
  metrics.set('nanosync_rows_estimated', labels, status.rows.estimated);
  for (const phase of PARTITION_PHASES) metrics.set('nanosync_partitions', { ...labels, phase }, status.partitions[phase]);
  metrics.set('nanosync_quarantined', labels, status.quarantined);
  metrics.set('nanosync_defects', labels, status.defects);
}
