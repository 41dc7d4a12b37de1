import type { TableColumnRules } from '../column-rules.ts';

/** Something a user must repair before a pipeline can run: what is wrong and the statement or setting that cures it. */
export interface Problem {
  readonly what: string;
  readonly cure: string;
  /** It works as it is; what may come of it is said. */
  readonly mild?: true;
}

/** What tables are wanted for: to follow their changes, or only to be read. */
export type SourceUse = 'follow' | 'copy';

/** What a pipeline wants of its source besides its tables. */
export interface SourceWants {
  readonly columns?: TableColumnRules | undefined;
  /** Absent: to follow. */
  readonly use?: SourceUse | undefined;
  /** Other pipelines that are to follow this source too, so that there is room for all of them. */
  readonly beside?: readonly string[] | undefined;
}
