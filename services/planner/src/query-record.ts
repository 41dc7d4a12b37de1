import type { QueryRecord, QuerySchedule, ServiceContext, Stored } from '@nanosync/core';
import { PipelineError, positionOf, RECORD_VERSION, readRecord, stateKeys } from '@nanosync/core';
import { nextTimeMs } from '@nanosync/runtime';

/** Rows of a query lie nowhere in a log. */
export const NOWHERE = positionOf(0n, 0n);

/** The runs of a pipeline as they are stored: made for a new one, and with other times once its schedule was changed. */
export async function queryRecord(ctx: ServiceContext, pipeline: string, schedule: QuerySchedule): Promise<Stored<QueryRecord>> {
  const key = stateKeys.query(pipeline);
  const stored = await readRecord<QueryRecord>(ctx.state, key);
  const text = JSON.stringify(schedule);
  if (stored?.value.schedule === text) return stored;
  const startedMs = stored?.value.run?.startedMs ?? stored?.value.last?.startedMs;
  const value: QueryRecord = {
    ...(stored?.value ?? { v: RECORD_VERSION, asked: null, run: null, last: null, writtenKey: null }),
    schedule: text,
    dueMs: firstTimeMs(schedule, ctx.clock.nowMs(), startedMs),
  };
  const version = await ctx.state.put(key, value, stored?.version ?? 0);
  if (version === undefined) throw changed(pipeline);
  return { key, value, version };
}

/** With a time between two runs the first one is at once; what a cron expression named before it was written is past. */
function firstTimeMs(schedule: QuerySchedule, nowMs: number, startedMs: number | undefined): number {
  if ('cron' in schedule) return nextTimeMs(schedule, nowMs);
  return startedMs === undefined ? nowMs : nextTimeMs(schedule, startedMs);
}

/** Another planner, or a user, was first. */
export function changed(pipeline: string): PipelineError {
  return new PipelineError('conflict', `Another process changed pipeline ${pipeline} meanwhile.`);
}
