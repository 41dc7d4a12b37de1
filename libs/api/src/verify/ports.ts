import type { Clock, GenerationId, Position, Sink, Source, TableSchema } from '@nanosync/core';
import type { CellJson } from '../cell-json.ts';

/** A table as it is compared: both its ends and what is known of it. */
export interface ComparedTable {
  readonly pipeline: string;
  readonly schema: TableSchema;
  /** The source's own account of the table as it is now. */
  readonly storage: string;
  readonly estimatedRows: number;
  /** Read it in one transaction, whatever becomes of its file; else by ranges. */
  readonly whole?: boolean;
  /** What users see under the table's name. */
  readonly generation: GenerationId;
}

/** What a comparison works with. */
export interface VerifyPorts {
  readonly source: Pick<Source, 'partition' | 'readRange' | 'readRows' | 'fence' | 'mark' | 'end'>;
  readonly sink: Pick<Sink, 'scan' | 'generation' | 'pace'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** What a comparison may cost, and how much of it is told. */
export interface VerifyLimits {
  /** Rows a second of each side; 0: as fast as they come. */
  readonly rowsPerSecond: number;
  /** Differing keys that are listed. */
  readonly listed: number;
  /** Compare both sides as they are, lag included. */
  readonly asIs: boolean;
  /** Rows of buckets that are looked at again at once. */
  readonly rowsAtOnce: number;
  /** Keys that may be held to be looked at one by one. */
  readonly candidates: number;
  /** How long the sink, or what holds the source's visibility, may stand still, in milliseconds. */
  readonly patienceMs: number;
}

/** Limits that fit a server: below a hundred megabytes for a table of any size. */
export const VERIFY_LIMITS: VerifyLimits = {
  rowsPerSecond: 0,
  listed: 100,
  asIs: false,
  rowsAtOnce: 100_000,
  candidates: 10_000,
  patienceMs: 60_000,
};

/** How far the comparison of a table is. */
export interface VerifyProgress {
  readonly step: 'waiting' | 'reading' | 'looking-again' | 'settling';
  /** Rows of both sides that were read in this step, or keys that are settled. */
  readonly done: number;
  /** How many there will be, about; 0 when not known. */
  readonly of: number;
}

/** How a key differs. `changing`: it changed at the source each time it was looked at. `held`: a transaction that is open at the source hides what it is. */
export type DifferenceKind = 'different' | 'missing' | 'extra' | 'changing' | 'held';

/** Cells by their columns' names. */
export type CellsByName = Readonly<Record<string, CellJson>>;

/** One key that differs, or could not be settled, and its rows. */
export interface Difference {
  readonly kind: DifferenceKind;
  readonly key: CellsByName;
  /** The columns that differ; for rows that one side lacks none. */
  readonly columns: readonly string[];
  readonly source: CellsByName | null;
  readonly sink: CellsByName | null;
}

/** What came of comparing a table. */
export interface TableVerified {
  readonly table: string;
  readonly outcome: 'equal' | 'different' | 'undecided';
  readonly sourceRows: number;
  readonly sinkRows: number;
  /** Keys that differ, by how, of those that were looked at one by one. */
  readonly counts: Readonly<Record<DifferenceKind, number>>;
  /** Rows at the source that have no form in which they could be sent. */
  readonly unsendable: number;
  /** Keys that seemed to differ and were not looked at one by one: there were too many. */
  readonly notSettled: number;
  /** Buckets of keys that seemed to differ and were not looked at again, of all. */
  readonly buckets: { readonly notExamined: number; readonly of: number };
  /** The sink had applied everything below when the comparison began; null with `asIs`. */
  readonly position: Position | null;
  readonly seconds: number;
}

/** Who hears of a comparison while it runs. */
export interface VerifyListener {
  progress(progress: VerifyProgress): void;
  difference(difference: Difference): void;
}
