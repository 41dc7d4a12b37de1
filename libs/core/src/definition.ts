import type { TableColumnRules } from './column-rules.ts';
import type { QueryDefinition } from './query.ts';

/** How a pipeline replicates; see the table in docs. */
export type ReplicationType = 'cdc_backfill' | 'cdc' | 'snapshot' | 'query';

/**
 * A named connection. `dsn` and `properties` keep their `${env:X}` and `${secret:X}` references as written, so that stored
 * state holds no secret that the user kept out of the file; they are resolved where a connection is opened.
 */
export interface ConnectionDefinition {
  readonly name: string;
  readonly type: string;
  readonly dsn: string | null;
  readonly properties: Readonly<Record<string, string>>;
}

/** One pipeline of a pipelines file, checked and with its defaults filled in. */
export interface PipelineDefinition {
  readonly name: string;
  readonly replicationType: ReplicationType;
  /** A pipeline of type `query` has no tables. */
  readonly source: {
    readonly connection: ConnectionDefinition;
    readonly tables: readonly string[];
    /** Absent: every column is replicated as it is. */
    readonly columns?: TableColumnRules;
  };
  readonly sink: { readonly connection: ConnectionDefinition };
  readonly snapshot: {
    readonly concurrency: number;
    readonly targetRowsPerPartition: number;
    /** What each worker process reads at most of this pipeline; null: as fast as it can. */
    readonly maxRowsPerSecond: number | null;
  };
  /** Of a pipeline of type `query`, and of no other. */
  readonly query?: QueryDefinition;
}
