import type { PipelineStatus } from '@nanosync/runtime';
import { timeText } from '@nanosync/runtime';

/** What a query pipeline does, in a word. */
export function queryHeadline({ intent, query }: PipelineStatus): string {
  if (query?.runningSinceMs !== null && query !== null) return intent.run === 'paused' ? 'running, pausing' : 'running';
  return intent.run === 'paused' ? 'paused' : 'scheduled';
}

/** The last result and the next run of a query pipeline, as lines for a terminal. */
export function queryLines({ name, intent, query }: PipelineStatus): readonly string[] {
  if (query === null) return [];
  const { table, key, last, runningSinceMs, nextMs, asked } = query;
  const lines: string[] = [];
  if (last?.failure) lines.push(`  the last run failed: ${last.failure.reason}`, `    cure: ${last.failure.cure}`);
  if (last !== null && last.quarantined > 0)
    lines.push(`  ${last.quarantined} rows of the last result could not be held and are not in ${table}: the log's lines say why`);
  lines.push(`  ${table}, ${key.length === 0 ? 'replaced whole' : `written by ${key.join(', ')}`}`);
  if (last === null) lines.push('  last result: none yet');
  else if (last.failure === null)
    lines.push(`  last result: ${last.rows === 1 ? '1 row' : `${last.rows} rows`} at ${timeText(last.endedMs)}, in ${seconds(last)} s`);
  else lines.push(`  last result: none at ${timeText(last.endedMs)}, after ${seconds(last)} s`);
  if (runningSinceMs !== null) lines.push(`  running since ${timeText(runningSinceMs)}`);
  if (intent.run === 'paused') lines.push(`  next run: once it is resumed: nanosync pipeline resume ${name}`);
  else if (asked) lines.push(`  next run: asked for${runningSinceMs === null ? '' : ', after this one'}`);
  else if (nextMs !== null) lines.push(`  next run: ${timeText(nextMs)}`);
  return lines;
}

function seconds({ startedMs, endedMs }: { readonly startedMs: number; readonly endedMs: number }): string {
  return ((endedMs - startedMs) / 1000).toFixed(1);
}
