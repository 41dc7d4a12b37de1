import type { QuerySchedule } from '@nanosync/core';
import { Cron } from 'croner';

/** The last moment that a date can be: never. */
const NEVER_MS = 8_640_000_000_000_000;

/** Five fields, or six with the seconds first. */
const MODE = '5-or-6-parts';

/** The first time of a schedule after a moment: of a cron expression as its time zone's clocks show it. */
export function nextTimeMs(schedule: QuerySchedule, afterMs: number): number {
  if ('everyMs' in schedule) return afterMs + schedule.everyMs;
  return new Cron(schedule.cron, { timezone: schedule.timeZone, mode: MODE }).nextRun(new Date(afterMs))?.getTime() ?? NEVER_MS;
}

/** What is wrong with a cron expression, or undefined. */
export function cronProblem(cron: string): string | undefined {
  if (!/\s/.test(cron.trim()) && !cron.startsWith('@')) return 'is no cron expression, such as "0 * * * *"';
  try {
    return new Cron(cron, { timezone: 'UTC', mode: MODE }).nextRun(new Date(0)) === null ? 'names a time that never comes' : undefined;
  } catch (error) {
    return `is no cron expression: ${error instanceof Error ? error.message.replace(/^\w+: /, '').replace(/\.$/, '') : String(error)}`;
  }
}

/** True for the name of a time zone. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
