import type { CountMark, LogMark, Position, SourceRetention, TableId, WatchRecord } from '@nanosync/core';
import { comparePositions } from '@nanosync/core';

/** Rates are taken over this long, or as much of it as there is, in milliseconds. */
export const RATE_WINDOW_MS = 60_000;
/** How fast the kept log grows is taken over this long: it shrinks in steps. */
export const GROWTH_WINDOW_MS = 600_000;
/** A shorter time says nothing of a rate. */
const LEAST_WINDOW_MS = 2000;
/** Figures that are older are old. */
const FRESH_MS = 15_000;

/** How far the sink is behind its source. */
export interface Lag {
  /**
   * Everything is applied that the source had written so many seconds ago, and perhaps more: 0 when all is applied that it had when it was asked
   * last. Exact to the time between two looks (3 s), and to a fifth of it when it is longer than a minute.
   */
  readonly seconds: number;
  /** The lag is longer than what is known reaches back. */
  readonly atLeast: boolean;
  /** Bytes of the source's log from what is applied to its end when the source was asked last; what others write there counts too. */
  readonly bytes: number;
}

/** What moves per second, over the last minute. */
export interface Rates {
  /** Rows that the copy made durable at the sink. */
  readonly rows: number;
  /** Changes that capture put on the bus. */
  readonly published: number;
  /** Changes that the sink applied. */
  readonly applied: number;
}

/** How much of its log the source keeps for the pipeline, and how long until it drops what is needed. */
export interface Retention {
  readonly state: SourceRetention['state'];
  readonly keptBytes: number;
  readonly limitBytes: number | null;
  readonly leftBytes: number | null;
  /** How fast what is kept grows, over the last ten minutes; below zero it shrinks. Null until two looks are known. */
  readonly growthBytesPerSecond: number | null;
  /** Until `leftBytes` are written at that rate; null without a limit, or while what is kept does not grow. */
  readonly secondsLeft: number | null;
  readonly setting: string;
}

/** How old a pipeline's figures are. */
export interface FiguresAge {
  /** Seconds since the source answered; null when it never has under this anchor. */
  readonly sourceSeconds: number | null;
  /** Seconds since a planner looked at all; null when none has. */
  readonly plannerSeconds: number | null;
  /** True when either is too long ago for the figures to be taken for those of now. */
  readonly old: boolean;
  /** Why the source does not answer, or null. */
  readonly failure: string | null;
}

/** How old the figures are; of another anchor there are none. */
export function ageOf(watch: WatchRecord | undefined, nowMs: number): FiguresAge {
  const since = (atMs: number | undefined) => (atMs === undefined ? null : Math.max(0, Math.round((nowMs - atMs) / 1000)));
  const old = (atMs: number | undefined) => atMs === undefined || nowMs - atMs > FRESH_MS;
  const asked = watch?.source?.askedMs;
  return {
    sourceSeconds: since(asked),
    plannerSeconds: since(watch?.writtenMs),
    old: old(watch?.writtenMs) || old(asked),
    failure: watch?.failure ?? null,
  };
}

/** The lag of what is applied up to this place (pure); undefined where nothing is applied, or the source has not answered yet. */
export function lagOf(watch: WatchRecord | undefined, table: TableId, applied: Position | undefined, nowMs: number): Lag | undefined {
  const newest = watch?.trail.at(-1);
  if (watch === undefined || newest === undefined || applied === undefined) return undefined;
  if (comparePositions(applied, newest.end) >= 0) return { seconds: 0, atLeast: false, bytes: 0 };
  const reached = watch.trail.findLast(({ end }) => comparePositions(end, applied) <= 0);
  const sinceMs = reached?.atMs ?? watch.trail[0]?.atMs ?? nowMs;
  return {
    seconds: Math.max(0, Math.round((nowMs - sinceMs) / 1000)),
    atLeast: reached === undefined,
    bytes: watch.behind[table] ?? 0,
  };
}

/** The rates of a table's epoch (pure); undefined until it was looked at twice. */
export function ratesOf(watch: WatchRecord | undefined, table: TableId, epoch: string): Rates | undefined {
  const marks = (watch?.counts ?? []).filter((mark) => mark.tables[table]?.epoch === epoch);
  const newest = marks.at(-1);
  if (newest === undefined) return undefined;
  const oldest = firstWithin(marks, newest.atMs, RATE_WINDOW_MS);
  const seconds = (newest.atMs - (oldest?.atMs ?? newest.atMs)) / 1000;
  if (oldest === undefined || seconds * 1000 < LEAST_WINDOW_MS) return undefined;
  const rate = (count: (mark: CountMark['tables'][TableId]) => number) =>
    Math.max(0, countIn(newest, table, count) - countIn(oldest, table, count)) / seconds;
  return { rows: rate((mark) => mark.rows), published: rate((mark) => mark.published), applied: rate((mark) => mark.applied) };
}

/** What the source keeps, and for how long yet (pure); undefined before it answered. */
export function retentionOf(watch: WatchRecord | undefined): Retention | undefined {
  if (watch === undefined || watch.source === null) return undefined;
  const { state, keptBytes, limitBytes, leftBytes, setting } = watch.source;
  const growthBytesPerSecond = growthOf(watch.trail);
  const grows = growthBytesPerSecond !== null && growthBytesPerSecond > 0;
  const secondsLeft = leftBytes === null || state === 'lost' ? null : grows ? leftBytes / growthBytesPerSecond : leftBytes === 0 ? 0 : null;
  return { state, keptBytes, limitBytes, leftBytes, growthBytesPerSecond, secondsLeft, setting };
}

/** Seconds until a copy is complete at the rate of the last minute (pure); null when it cannot be told. */
export function secondsLeftOf(copy: {
  readonly estimated: number;
  readonly rows: number;
  readonly durable: number;
  readonly total: number;
  readonly rowsPerSecond: number | undefined;
}): number | null {
  const { rowsPerSecond } = copy;
  if (rowsPerSecond === undefined || rowsPerSecond <= 0) return null;
  return rowsLeftOf(copy) / rowsPerSecond;
}

/** Rows that are still to come: by the partitions that are done as soon as one is, by the source's estimate before (pure). */
export function rowsLeftOf({
  estimated,
  rows,
  durable,
  total,
}: {
  estimated: number;
  rows: number;
  durable: number;
  total: number;
}): number {
  return durable > 0 ? ((total - durable) * rows) / durable : Math.max(0, estimated - rows);
}

function growthOf(trail: readonly LogMark[]): number | null {
  const newest = trail.at(-1);
  const oldest = newest && firstWithin(trail, newest.atMs, GROWTH_WINDOW_MS);
  if (newest === undefined || oldest === undefined || newest.atMs - oldest.atMs < LEAST_WINDOW_MS) return null;
  return ((newest.keptBytes - oldest.keptBytes) * 1000) / (newest.atMs - oldest.atMs);
}

function firstWithin<T extends { readonly atMs: number }>(marks: readonly T[], untilMs: number, windowMs: number): T | undefined {
  return marks.find(({ atMs }) => untilMs - atMs <= windowMs);
}

function countIn(mark: CountMark, table: TableId, count: (mark: CountMark['tables'][TableId]) => number): number {
  const found = mark.tables[table];
  return found === undefined ? 0 : count(found);
}
