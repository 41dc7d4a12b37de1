import type { CaptureRecord, CountMark, LogMark, Position, SinkReport, SourceRetention, TableId, WatchRecord } from '@nanosync/core';
import { appliedUpTo, RECORD_VERSION, seenByUsers } from '@nanosync/core';

/** How long counters are kept: a little more than the window of the rates, in milliseconds. */
const COUNTS_MS = 75_000;
/** Places in the log are all kept for so long ... */
const TRAIL_MS = 60_000;
/** ... and then one in a span of at most this part of their age, which bounds how far off a lag can be. */
const TRAIL_STEP = 0.1;
/** Of them at most so many. A lag that is longer than they reach is known to be at least that long. */
const TRAIL_MOST = 200;

/** What the source answered, or why it did not, and when it was asked. */
export type Answer = { readonly askedMs: number } & (
  | { readonly retention: SourceRetention; readonly distance: (from: Position, to: Position) => number }
  | { readonly failure: string }
);

/** A pipeline's records as one look found them. */
export interface Seen {
  readonly nowMs: number;
  readonly anchor: string;
  readonly capture: CaptureRecord | undefined;
  readonly reports: readonly { readonly table: TableId; readonly report: SinkReport | undefined }[];
}

/** The record after a look (pure). An answer that is known already, or comes after a later one, changes nothing of what it said. */
export function watched(before: WatchRecord | undefined, seen: Seen, answer: Answer | undefined): WatchRecord {
  const { nowMs, anchor } = seen;
  const known = before?.anchor === anchor ? before : undefined;
  const counts = [...(known?.counts ?? []), countMark(seen)].filter(({ atMs }) => atMs <= nowMs && nowMs - atMs <= COUNTS_MS);
  const base = { v: RECORD_VERSION, anchor, writtenMs: nowMs, counts } as const;
  const old = { source: known?.source ?? null, trail: known?.trail ?? [], behind: known?.behind ?? {}, failure: known?.failure ?? null };
  if (answer === undefined) return { ...base, ...old };
  if ('failure' in answer) return { ...base, ...old, failure: answer.failure };
  const { askedMs, retention, distance } = answer;
  if (known?.source != null && known.source.askedMs >= askedMs) return { ...base, ...old, failure: null };
  const mark: LogMark = { atMs: askedMs, end: retention.end, keptBytes: retention.keptBytes };
  const behind = Object.fromEntries(
    seen.reports.flatMap(({ table, report }) => {
      const applied = appliedUpTo(seen.capture, seenByUsers(report));
      return applied === undefined ? [] : [[table, Math.max(0, distance(applied, retention.end))]];
    }),
  );
  return { ...base, source: { ...retention, askedMs }, trail: thinned([...old.trail, mark]), behind, failure: null };
}

/**
 * The marks of the last minute, and of those before it the first of each span of time, which is longer the older it is; oldest first. The spans
 * stand at fixed times and each is one of two halves of a longer one, so that a mark that is kept once stays for a while.
 */
export function thinned(trail: readonly LogMark[]): readonly LogMark[] {
  const newestMs = trail.at(-1)?.atMs ?? 0;
  const kept: LogMark[] = [];
  for (const mark of trail) {
    const ageMs = newestMs - mark.atMs;
    const spanMs = 2 ** Math.floor(Math.log2(ageMs * TRAIL_STEP));
    const last = kept.at(-1);
    if (last === undefined || ageMs <= TRAIL_MS || Math.floor(last.atMs / spanMs) !== Math.floor(mark.atMs / spanMs)) kept.push(mark);
  }
  return kept.slice(-TRAIL_MOST);
}

function countMark({ nowMs, capture, reports }: Seen): CountMark {
  const tables = reports.flatMap(({ table, report }) => {
    if (report === undefined) return [];
    const captured = capture?.tables[table];
    const published = captured?.epoch === report.epoch ? captured.changes : 0;
    return [[table, { epoch: report.epoch, rows: report.rowsStaged, published, applied: report.changesApplied }]];
  });
  return { atMs: nowMs, tables: Object.fromEntries(tables) };
}
