import type { ConnectionDefinition } from '../definition.ts';
import type { Metrics } from '../metrics.ts';
import type { Topics } from '../topics.ts';
import type { Bus, Registry } from './bus.ts';
import type { Clock, Ids } from './clock.ts';
import type { Sink } from './sink.ts';
import type { Source } from './source.ts';
import type { State } from './state.ts';

/** The fields a log line may carry. Never a cell value, a key value or a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Structured logging: a constant lower-case message and fields. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose lines all carry these fields; in the human format `service` and `pipeline` only where they warn. */
  with(fields: LogFields): Log;
}

/** The named places before and after each durable step where tests kill the process. */
export const FAILPOINTS = [
  'slot-created',
  'anchor-stored',
  'tables-extended',
  'tables-added',
  'copy-begun',
  'copy-stopped',
  'table-withdrawn',
  'table-released',
  'table-records-removed',
  'plan-stored',
  'task-emitted',
  'partition-taken',
  'batch-published',
  'end-marker-published',
  'partition-read-stored',
  'rows-staged',
  'generation-built',
  'changes-published',
  'published-stored',
  'acknowledged',
  'changes-applied',
  'generation-switched',
  'query-run-stored',
  'query-result-written',
  'query-run-ended',
  'source-released',
  'topics-deleted',
  'sink-released',
  'records-removed',
] as const;
export type FailpointName = (typeof FAILPOINTS)[number];

/** Everything a service is given. Services see ports only; `main.ts` makes the adapters behind them. */
export interface ServiceContext {
  readonly state: State;
  readonly bus: Bus;
  readonly registry: Registry;
  readonly topics: Topics;
  /** Number of bus partitions of the task topic and of each change topic; pinned when a topic is created. */
  readonly tasksBusPartitions: number;
  readonly changesBusPartitions: number;
  /** How long durable messages stay on the bus for `tap`, in milliseconds. */
  readonly keepMs: number;
  readonly log: Log;
  /** Absent where nobody asks for metrics. */
  readonly metrics?: Metrics;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Opens the source of a connection, with its secrets resolved; the caller disposes it. */
  readonly openSource: (connection: ConnectionDefinition) => Promise<Source>;
  /** Opens the sink of a connection; the caller disposes it. */
  readonly openSink: (connection: ConnectionDefinition) => Promise<Sink>;
  /** A place where tests may end the process. */
  readonly failpoint: (name: FailpointName) => void;
  /** Ends the service: it finishes or abandons its step and returns. */
  readonly signal: AbortSignal;
}
