import type { PipelineDefinition } from './definition.ts';
import { PipelineError } from './errors.ts';
import type { GenerationId } from './ports/sink.ts';
import type { Failure, PipelineRecord, RECORD_VERSION } from './records.ts';
import type { Column, TableId, TableSchema } from './table.ts';

/** When a query runs: so long after each start, or at the times of a cron expression. */
export type QuerySchedule = { readonly everyMs: number } | { readonly cron: string; readonly timeZone: string };

/** What a pipeline of type `query` runs, and where its result goes. */
export interface QueryDefinition {
  /** One statement that only reads. */
  readonly statement: string;
  /** The table at the sink, as `schema.table`. */
  readonly table: string;
  /** The columns by which a result is written over the rows that are there; none: it takes the place of all of them. */
  readonly key: readonly string[];
  readonly schedule: QuerySchedule;
  /** The source gives the statement up after this time; null: after the source's own. */
  readonly timeoutMs: number | null;
}

/** How a result is written: over the rows that are there, by key, or in their place. */
export type QueryMode = 'merge' | 'replace';

/** One run of a query, as it was decided: an epoch of the table with one partition, whose range is the statement. */
export interface QueryRun {
  readonly epoch: string;
  readonly table: TableId;
  readonly mode: QueryMode;
  readonly startedMs: number;
  /** Why it is being given up; absent as long as it is not. */
  readonly failure?: Failure;
}

/** How a run ended. */
export interface QueryOutcome {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly rows: number;
  /** Rows of the result that could not be held, so that the table lacks them. */
  readonly quarantined: number;
  /** Why nothing of the result is in the table, or null. */
  readonly failure: Failure | null;
}

/** The runs of a query pipeline. Key `query/<pipeline>`; written by the planner alone, before it acts. */
export interface QueryRecord {
  readonly v: typeof RECORD_VERSION;
  /** The schedule for which `dueMs` was reckoned, as JSON: another one has other times. */
  readonly schedule: string;
  /** When the next run begins, unless one is under way then. */
  readonly dueMs: number;
  /** A run is asked for before that; `replace`: one that takes the place of all rows. */
  readonly asked: 'run' | 'replace' | null;
  /** The run under way. */
  readonly run: QueryRun | null;
  readonly last: QueryOutcome | null;
  /** The key by which the rows at the sink were last written; null when it is not known. */
  readonly writtenKey: readonly string[] | null;
}

/** The table that a result of these columns becomes; throws PipelineError `prerequisite` where a column of the key is not among them. */
export function resultSchema({ table, key }: QueryDefinition, columns: readonly Column[]): TableSchema {
  const missing = key.filter((name) => columns.every((column) => column.name !== name));
  if (missing.length > 0)
    throw new PipelineError('prerequisite', `The result of the query has no column ${missing.join(', ')}, which is to be its key.`, {
      hint: `Its columns are ${columns.map(({ name }) => name).join(', ')}.`,
    });
  return { table: table as TableId, columns, key };
}

/**
 * What a run's writer makes of rows that a deleted pipeline left, before it merges the result into them. Of the run, so that a repetition finds what it began,
 * and given up with it.
 */
export function leftGeneration(run: GenerationId): GenerationId {
  return { ...run, epoch: `${run.epoch}-left` };
}

/** The tables that a pipeline writes at its sink. */
export function targetsOf({ source, query }: PipelineDefinition): readonly string[] {
  return query === undefined ? source.tables : [query.table];
}

/** The pipeline's query, where it is one that has been scheduled. */
export function scheduledQuery({ definition, phase }: PipelineRecord): QueryDefinition | undefined {
  return phase === 'scheduled' ? definition.query : undefined;
}
