import { RUNNING } from '@nanosync/core';
import type { PipelineStatus, QueryStatus } from '@nanosync/runtime';
import { expect, test } from 'vitest';
import { statusText } from './status-text.ts';

const AT = Date.UTC(2026, 4, 1, 6);
const LAST = { startedMs: AT, endedMs: AT + 1500, rows: 30, quarantined: 0, failure: null };
const QUERY: QueryStatus = { table: 'r.daily', key: ['day'], runningSinceMs: null, nextMs: AT + 900_000, asked: false, last: LAST };

const text = (query: Partial<QueryStatus>, change: Partial<PipelineStatus> = {}) =>
  statusText({
    ...{ name: 'daily', type: 'query', phase: 'scheduled', healthy: true, intent: RUNNING, waiting: null, request: null, failure: null },
    ...{ troubles: [], tables: [], toAdd: [], leaving: [], toCopy: [], quarantined: 0, defects: 0, retention: null },
    ...{ query: { ...QUERY, ...query }, ...change },
  } as unknown as PipelineStatus);

test('a query pipeline shows its last result and its next run', () => {
  expect(text({})).toEqual([
    'daily  scheduled',
    '  r.daily, written by day',
    '  last result: 30 rows at 2026-05-01T06:00:01Z, in 1.5 s',
    '  next run: 2026-05-01T06:15:00Z',
  ]);
  expect(text({ key: [], last: null, runningSinceMs: AT, asked: true })).toEqual([
    'daily  running',
    '  r.daily, replaced whole',
    '  last result: none yet',
    '  running since 2026-05-01T06:00:00Z',
    '  next run: asked for, after this one',
  ]);
  expect(text({}, { intent: { ...RUNNING, run: 'paused' } }).slice(0, 1)).toEqual(['daily  paused']);
});

test('a run that failed needs attention, with its cure', () => {
  const failure = { reason: 'The query took longer than 1 s.', cure: 'Raise its timeout.' };
  expect(text({ last: { ...LAST, rows: 0, failure } }, { healthy: false }).slice(0, 5)).toEqual([
    'daily  scheduled, NEEDS ATTENTION: its last run failed',
    '  the last run failed: The query took longer than 1 s.',
    '    cure: Raise its timeout.',
    '  r.daily, written by day',
    '  last result: none at 2026-05-01T06:00:01Z, after 1.5 s',
  ]);
  expect(text({ last: { ...LAST, quarantined: 2 } }, { healthy: false })[0]).toBe('daily  scheduled, NEEDS ATTENTION: rows left out');
});
