import type { Column } from '../table.ts';
import type { RangeOptions, RangeOutput } from './source.ts';

/** What a statement yields: its columns, and the source's own account of them, to be handed back. */
export interface QueryDescription {
  readonly columns: readonly Column[];
  readonly storage: string;
}

/** The part of a source that runs statements of users. They only read: the source itself sees to that. */
export interface QuerySource {
  /** What the statement yields, without running it. Throws PipelineError `prerequisite`, with the cure, for one that cannot be run. */
  describe(statement: string): Promise<QueryDescription>;
  /**
   * Runs the statement in one moment of the source and yields its rows. Throws `table-changed` when its columns are not those that were described, and
   * `prerequisite` when the source refuses it or gives it up; no message holds a value.
   */
  read(query: ReadQuery, options: RangeOptions): AsyncIterable<RangeOutput>;
}

/** A statement to be run, with the `storage` of its description. */
export interface ReadQuery {
  readonly statement: string;
  readonly storage: string;
  /** The source gives it up after this time; null: after its own. */
  readonly timeoutMs: number | null;
}
