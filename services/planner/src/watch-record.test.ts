import type { CaptureRecord, SinkReport, SourceRetention, TableId, WatchRecord } from '@nanosync/core';
import { positionOf, sectionsOf } from '@nanosync/core';
import { expect, test } from 'vitest';
import type { Answer, Seen } from './watch-record.ts';
import { thinned, watched } from './watch-record.ts';

const TABLE = 'public.orders' as TableId;
const at = (lsn: number) => positionOf(BigInt(lsn), 0n);
const retention = (end: number, keptBytes = 0): SourceRetention => ({
  ...{ end: at(end), state: 'safe', keptBytes, limitBytes: 1000, leftBytes: 1000 - keptBytes, setting: 'limit' },
});
const answer = (askedMs: number, end: number): Answer => ({
  ...{ askedMs, retention: retention(end) },
  distance: (from, to) => Number((sectionsOf(to)[0] ?? 0n) - (sectionsOf(from)[0] ?? 0n)),
});

function seen(nowMs: number, applied: number, anchor = 'a'): Seen {
  const report = { epoch: 'e', built: true, rowsStaged: 7, changesApplied: applied, watermark: at(applied) } as unknown as SinkReport;
  const capture = {
    published: at(applied),
    ends: {},
    tables: { [TABLE]: { epoch: 'e', changes: applied + 1 } },
  } as unknown as CaptureRecord;
  return { nowMs, anchor, capture, reports: [{ table: TABLE, report }] };
}

test('a look stores counters, the end of the log, and how many bytes each table is behind it', () => {
  const record = watched(undefined, seen(1000, 40), answer(990, 100));
  expect(record).toMatchObject({ anchor: 'a', writtenMs: 1000, behind: { [TABLE]: 60 }, failure: null });
  expect(record.counts).toEqual([{ atMs: 1000, tables: { [TABLE]: { epoch: 'e', rows: 7, published: 41, applied: 40 } } }]);
  expect(record.trail).toEqual([{ atMs: 990, end: at(100), keptBytes: 0 }]);
  expect(record.source).toMatchObject({ askedMs: 990, state: 'safe' });
});

test('a source that does not answer leaves what it said before, with the reason; one answer counts once', () => {
  const first = watched(undefined, seen(1000, 40), answer(990, 100));
  const away = watched(first, seen(4000, 50), { askedMs: 3990, failure: 'away' });
  expect(away).toMatchObject({ writtenMs: 4000, failure: 'away', source: { askedMs: 990 }, trail: first.trail, behind: first.behind });
  expect(away.counts).toHaveLength(2);
  const late = watched(away, seen(7000, 50), answer(990, 100));
  expect(late).toMatchObject({ trail: first.trail, failure: null });
  expect(watched(late, seen(10_000, 50), answer(9990, 200)).trail).toHaveLength(2);
});

test('another anchor begins anew', () => {
  const first = watched(undefined, seen(1000, 40), answer(990, 100));
  expect(watched(first, seen(2000, 1, 'b'), undefined)).toMatchObject({ anchor: 'b', source: null, trail: [], behind: {} });
});

test('the record stays small however long it goes on, and reaches back far', () => {
  let record: WatchRecord | undefined;
  for (let step = 0; step < 30_000; step++) record = watched(record, seen(step * 3000, step), answer(step * 3000, step));
  expect(record?.counts.length).toBeLessThanOrEqual(26);
  expect(record?.trail.length).toBeLessThanOrEqual(200);
  expect(JSON.stringify(record).length).toBeLessThan(25_000);
  const newestMs = record?.trail.at(-1)?.atMs ?? 0;
  expect(newestMs - (record?.trail[0]?.atMs ?? newestMs)).toBeGreaterThan(20 * 3_600_000);
});

test('places are no farther apart than a fraction of their age', () => {
  let trail = [{ atMs: 0, end: at(0), keptBytes: 0 }] as ReturnType<typeof thinned>;
  for (let step = 1; step < 5000; step++) trail = thinned([...trail, { atMs: step * 3000, end: at(step), keptBytes: 0 }]);
  const newestMs = trail.at(-1)?.atMs ?? 0;
  for (const [index, mark] of trail.entries()) {
    const next = trail[index + 1];
    if (next !== undefined) expect(next.atMs - mark.atMs).toBeLessThanOrEqual(Math.max(3000, (newestMs - mark.atMs) * 0.2));
  }
  expect(trail.filter(({ atMs }) => newestMs - atMs <= 60_000)).toHaveLength(21);
});
