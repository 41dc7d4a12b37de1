/** What a metric is to a collector, what it means, and its labels, each of which has few values: names of pipelines and tables, and words of ours. */
export interface MetricDefinition {
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[];
}

const TABLE = ['pipeline', 'table'] as const;
const SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 30, 120, 600] as const;
const BYTES = [1e3, 1e4, 1e5, 1e6, 4e6, 1.6e7, 6.4e7, 2.56e8] as const;
const COUNTS = [1, 10, 100, 1000, 10_000, 100_000] as const;

/**
 * Every metric by its name. docs/16-metrics.md explains them. Those of pipelines and tables are made of the state store when they are asked
 * for, by the process that plans the pipeline; the others are of the process itself.
 */
export const METRICS = {
  nanosync_pipeline_phase: {
    kind: 'gauge',
    help: '1 for the phase that the pipeline is in, 0 for the others',
    labels: ['pipeline', 'phase'],
  },
  nanosync_pipeline_healthy: { kind: 'gauge', help: '1 while nothing of the pipeline needs a person', labels: ['pipeline'] },
  nanosync_pipeline_trouble: { kind: 'gauge', help: '1 while the service is kept from going on', labels: ['pipeline', 'service'] },
  nanosync_table_state: { kind: 'gauge', help: '1 for the state that the table is in', labels: [...TABLE, 'state'] },
  nanosync_lag_seconds: { kind: 'gauge', help: 'How old what the sink shows of the table is', labels: TABLE },
  nanosync_lag_bytes: { kind: 'gauge', help: 'Bytes of the source log that are not applied to the table', labels: TABLE },
  nanosync_changes_published_total: { kind: 'counter', help: 'Changes on the bus, since the epoch began', labels: TABLE },
  nanosync_changes_applied_total: { kind: 'counter', help: 'Changes applied at the sink, since the epoch began', labels: TABLE },
  nanosync_waiting_messages: { kind: 'gauge', help: 'Messages on the bus that are not applied yet', labels: TABLE },
  nanosync_rows_copied: { kind: 'gauge', help: 'Rows of the copy that are durable at the sink', labels: TABLE },
  nanosync_rows_estimated: { kind: 'gauge', help: 'Rows of the table when it was planned, by the source statistics', labels: TABLE },
  nanosync_partitions: { kind: 'gauge', help: 'Partitions of the copy by phase', labels: [...TABLE, 'phase'] },
  nanosync_quarantined: { kind: 'gauge', help: 'Rows and changes that were put aside', labels: TABLE },
  nanosync_defects: { kind: 'gauge', help: 'Changes that were not above the row they met; must be 0', labels: TABLE },
  nanosync_retention_state: { kind: 'gauge', help: '1 for the state of the log that the source keeps', labels: ['pipeline', 'state'] },
  nanosync_retention_kept_bytes: { kind: 'gauge', help: 'Bytes of log that the source keeps for the pipeline', labels: ['pipeline'] },
  nanosync_retention_left_bytes: {
    kind: 'gauge',
    help: 'Bytes that may be written until the source drops what is needed; absent without a limit',
    labels: ['pipeline'],
  },
  nanosync_retention_left_seconds: {
    kind: 'gauge',
    help: 'Until then, as fast as what is kept grows; absent while it does not grow',
    labels: ['pipeline'],
  },
  nanosync_figures_age_seconds: { kind: 'gauge', help: 'Since the source said where its log ends', labels: ['pipeline'] },
  nanosync_state_answers: { kind: 'gauge', help: '1 when the state store answered this request', labels: [] },
  nanosync_lease_held: { kind: 'gauge', help: '1 while this process holds the lease', labels: ['lease', 'pipeline', 'table'] },
  nanosync_service_up: { kind: 'gauge', help: '1 while the service runs, 0 while it waits to be started again', labels: ['service'] },
  nanosync_service_failures_total: { kind: 'counter', help: 'How often the service ended with an error', labels: ['service'] },
  nanosync_batch_seconds: { kind: 'histogram', help: 'How long a step took', labels: ['step', 'pipeline'], buckets: SECONDS },
  nanosync_batch_bytes: { kind: 'histogram', help: 'Bytes of messages or rows in a step', labels: ['step', 'pipeline'], buckets: BYTES },
  nanosync_batch_entries: { kind: 'histogram', help: 'Messages, rows or changes in a step', labels: ['step', 'pipeline'], buckets: COUNTS },
  nanosync_steps_failed_total: { kind: 'counter', help: 'Steps that ended with an error', labels: ['step', 'pipeline'] },
  nanosync_steps_running: { kind: 'gauge', help: 'Steps that are under way', labels: ['step', 'pipeline'] },
  nanosync_rows_read_total: { kind: 'counter', help: 'Rows that this process read and published', labels: TABLE },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

export type MetricName = keyof typeof METRICS;
/** The labels of a metric, each with its value. */
export type MetricLabels<N extends MetricName> = Readonly<Record<(typeof METRICS)[N]['labels'][number], string>>;
type NamesOf<K extends MetricDefinition['kind']> = { [N in MetricName]: (typeof METRICS)[N]['kind'] extends K ? N : never }[MetricName];
export type GaugeName = NamesOf<'gauge'>;
export type CounterName = NamesOf<'counter'>;
export type HistogramName = NamesOf<'histogram'>;

/** Where a process counts what it does. Nothing of it is stored, and nothing goes by it. */
export interface Metrics {
  set<N extends GaugeName>(name: N, labels: MetricLabels<N>, value: number): void;
  /** Adds to a gauge; a negative number takes away. */
  move<N extends GaugeName>(name: N, labels: MetricLabels<N>, by: number): void;
  count<N extends CounterName>(name: N, labels: MetricLabels<N>, by?: number): void;
  observe<N extends HistogramName>(name: N, labels: MetricLabels<N>, value: number): void;
  /** A lease was got, or is held no more. */
  lease(name: string, held: boolean): void;
}

/** Steps whose size and duration are measured. */
export type StepName = 'read' | 'publish rows' | 'publish changes' | 'stage' | 'build' | 'apply';

/** A step that is about to run, and what it is of. */
export interface MeasuredStep {
  readonly step: StepName;
  readonly pipeline: string;
  readonly bytes?: number;
  readonly entries?: number;
}
