import type { SourceRetention } from './ports/source.ts';
import type { Position } from './position.ts';
import { comparePositions, leastPosition } from './position.ts';
import type { CaptureRecord, RECORD_VERSION, SinkReport } from './records.ts';
import type { TableId } from './table.ts';

/** A moment at which the source's log ended here, and how much of it the source kept for the pipeline. */
export interface LogMark {
  readonly atMs: number;
  readonly end: Position;
  readonly keptBytes: number;
}

/** Counters of a pipeline's tables at one moment. All of them survive restarts; they begin again with an epoch. */
export interface CountMark {
  readonly atMs: number;
  readonly tables: Readonly<
    Record<TableId, { readonly epoch: string; readonly rows: number; readonly published: number; readonly applied: number }>
  >;
}

/**
 * What the planner saw of a pipeline beside its steps. Key `watch/<pipeline>`; for display alone, bounded, and begun again with each anchor.
 * Times are of the planner's wall clock.
 */
export interface WatchRecord {
  readonly v: typeof RECORD_VERSION;
  readonly anchor: string;
  /** The last look at the counters. */
  readonly writtenMs: number;
  /** Of the last minute or so, oldest first. */
  readonly counts: readonly CountMark[];
  /** What the source answered last, and when. Null: it has not answered yet. */
  readonly source: (SourceRetention & { readonly askedMs: number }) | null;
  /** Where the log ended, oldest first; the older the farther apart. */
  readonly trail: readonly LogMark[];
  /** Bytes of log between what is applied and the end of the log, when the source answered last. */
  readonly behind: Readonly<Record<TableId, number>>;
  /** Why the source does not answer, or null. */
  readonly failure: string | null;
}

/** How far one generation is. */
export type AppliedReport = Pick<SinkReport, 'built' | 'watermark' | 'bus'>;

/** How far the generation is that users see: the older one while another is made beside it (pure). */
export function seenByUsers(report: SinkReport | undefined): AppliedReport | undefined {
  return report?.older == null ? report : { ...report.older, built: true };
}

/**
 * Everything of a table below this place is applied at the sink, or undefined while its generation is not built (pure). More exact than the
 * watermark: a bus partition of which all is applied that capture ever published is as far as capture itself.
 */
export function appliedUpTo(capture: CaptureRecord | undefined, report: AppliedReport | undefined): Position | undefined {
  if (report === undefined || !report.built) return undefined;
  const { bus } = report;
  if (bus === undefined || capture === undefined) return report.watermark ?? undefined;
  const ends = capture.ends[bus.topic] ?? [];
  return leastPosition(
    bus.last.map((last, partition) => ((bus.next[partition] ?? 0) >= (ends[partition] ?? 0) ? later(capture.published, last) : last)),
  );
}

/** Messages of a built table that are on the bus, as capture stored it last, and not yet applied; undefined before it is built (pure). */
export function waitingOnBus(capture: CaptureRecord | undefined, report: SinkReport | undefined): number | undefined {
  const bus = report?.built === true ? report.bus : undefined;
  if (bus === undefined || capture === undefined) return undefined;
  return (capture.ends[bus.topic] ?? []).reduce((sum, end, partition) => sum + Math.max(0, end - (bus.next[partition] ?? end)), 0);
}

function later(a: Position, b: Position): Position {
  return comparePositions(a, b) < 0 ? b : a;
}
