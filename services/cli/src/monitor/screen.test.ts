import type { StatusAnswer } from '@nanosync/api';
import type { PipelineStatus } from '@nanosync/runtime';
import { describe, expect, it } from 'vitest';
import { copying, live, pipeline } from '../testing/status-fixture.ts';
import type { Key } from './keys.ts';
import { keysOf } from './keys.ts';
import { textOf } from './lines.ts';
import { painted } from './paint.ts';
import type { Screen, Size } from './screen.ts';
import { afterKey, screenLines, screenOf } from './screen.ts';

const SMALL: Size = { columns: 80, rows: 24 };
const WIDE: Size = { columns: 120, rows: 30 };
const NOON = Date.UTC(2026, 10, 28, 12, 0, 0);

const named = (name: string, change: Partial<PipelineStatus> = {}): PipelineStatus => ({ ...pipeline, name, ...change });
const failed = named('billing', {
  ...{ phase: 'failed', healthy: false, lag: null, perSecond: null },
  failure: { reason: 'The slot is gone.', cure: 'Run: nanosync pipeline resnapshot billing' },
});
const answerOf = (...pipelines: readonly PipelineStatus[]): StatusAnswer => ({ serving: true, pipelines });
const three = screenOf(answerOf(failed, pipeline, named('customers', { phase: 'streaming' })), NOON, null);
const shown = (screen: Screen, size: Size = SMALL, nowMs = NOON) => screenLines(screen, size, nowMs).map((each) => textOf(each).trimEnd());
const typed = (screen: Screen, keys: readonly Key[], size: Size = SMALL) =>
  keys.reduce<Screen | undefined>((at, key) => at && afterKey(at, key, size), screen) as Screen;

const textAt = (screen: Screen, size: Size) =>
  shown(screen, size)
    .join('\n')
    .replace(/\n\n\n+/, '\n\n...\n');
const reading = [
  { partition: 35, reader: '91f3ab12cdef', attempts: 1, held: true },
  { partition: 36, reader: '91f3ab12cdef', attempts: 2, held: true },
  { partition: 37, reader: 'c07d55e0aaaa', attempts: 1, held: false },
];
const busy = named('orders-pipeline', { tables: [live, { ...copying, reading }] });
const page = screenOf(answerOf(failed, busy), NOON, 'orders-pipeline');

describe('the overview', () => {
  it('has a line a pipeline, and says what the chosen one lacks', () => {
    expect(textAt(three, SMALL)).toMatchInlineSnapshot(`
      "nanosync monitor                    3 pipelines, 1 needs attention  12:00:00 UTC

        NAME             SOURCE         DESTINATION  STATUS        LAG  EVENTS/S
      > billing          prod-postgres  warehouse    failed          -         -
        orders-pipeline  prod-postgres  warehouse    snapshotting  7 s    52,118
        customers        prod-postgres  warehouse    streaming     7 s    52,118

        billing: failed, NEEDS ATTENTION: failed

      ...
      up/down choose  Enter open  q quit"
    `);
  });

  it('gives names room at 120 columns, and takes it from them at 80', () => {
    const long = 'replica-of-the-accounting-database';
    const wide = named('a-pipeline-with-a-long-name', { source: { connection: long, type: 'postgres' } });
    const screen = screenOf(answerOf(wide), NOON, null);
    expect(textAt(screen, WIDE)).toMatchInlineSnapshot(`
      "nanosync monitor                                                                                1 pipeline  12:00:00 UTC

        NAME                         SOURCE                              DESTINATION  STATUS        LAG  EVENTS/S
      > a-pipeline-with-a-long-name  replica-of-the-accounting-database  warehouse    snapshotting  7 s    52,118

        a-pipeline-with-a-long-name: snapshotting

      ...
      up/down choose  Enter open  q quit"
    `);
    expect(textAt(screen, SMALL)).toMatchInlineSnapshot(`
      "nanosync monitor                                        1 pipeline  12:00:00 UTC

        NAME               SOURCE             DESTINATION  STATUS        LAG  EVENTS/S
      > a-pipeline-with-…  replica-of-the-a…  warehouse    snapshotting  7 s    52,118

        a-pipeline-with-a-long-name: snapshotting

      ...
      up/down choose  Enter open  q quit"
    `);
  });

  it('fills the terminal exactly, whatever its size', () => {
    for (const size of [SMALL, WIDE, { columns: 20, rows: 5 }, { columns: 1, rows: 1 }]) {
      for (const screen of [three, page]) {
        const lines = screenLines(screen, size, NOON);
        expect(lines).toHaveLength(size.rows);
        for (const each of lines) expect(textOf(each).length).toBeLessThanOrEqual(size.columns);
      }
    }
  });

  it('moves its cursor, opens a page and comes back', () => {
    expect(typed(three, ['down', 'down', 'down']).chosen).toBe('customers');
    expect(typed(three, ['last', 'up', 'enter']).page).toBe('orders-pipeline');
    expect(typed(three, ['down', 'enter', 'back'])).toMatchObject({ page: null, chosen: 'orders-pipeline' });
    expect(afterKey(three, 'quit', SMALL)).toBeUndefined();
    expect(typed(screenOf(answerOf(), NOON, null), ['down', 'enter']).page).toBeNull();
  });

  it('keeps the cursor in sight where pipelines are more than lines', () => {
    const many = screenOf(answerOf(...Array.from({ length: 50 }, (_, number) => named(`p${number}`))), NOON, null);
    for (const keys of [['last'], ['page-down', 'page-down', 'down'], ['last', 'page-up']] as const)
      expect(shown(typed(many, keys)).filter((text) => text.startsWith('> '))).toHaveLength(1);
  });

  it('says since when the server does not answer, and keeps what it knows', () => {
    const away = { ...three, trouble: 'No server answers at http://127.0.0.1:1.' };
    expect(shown(away, SMALL, NOON + 7000).at(-1)).toBe('NO ANSWER for 7 s, trying again: No server answers at http://127.0.0.1:1.');
    expect(shown(away)[3]).toMatch(/^> billing/);
  });
});

describe('the page of a pipeline', () => {
  it('shows figures, tables and who reads what at 80 columns', () => {
    expect(textAt(page, SMALL)).toMatchInlineSnapshot(`
      "nanosync monitor  orders-pipeline   2 pipelines, 1 needs attention  12:00:00 UTC

      prod-postgres (postgres) -> warehouse (duckdb), cdc_backfill
      snapshotting

        lag         7 s (4.1 MB) behind the source
        changes     118/s applied, 120/s published, 52,000 rows/s copied
        source log  48 MB kept for this pipeline, growing 80 kB/s; 976 MB (about 3 h
                    23 min) until it drops what is needed
        L0, L1      575E220+5, not reached
        budget      [----------] 4% of 1.0 GB used

      TABLES
        public.orders       live          lag 7 s (4.1 MB), 118 changes/s, 12 waiting,
                            3,211 applied
        public.order_items  snapshotting  about 8,000,000 rows
                            [##--------] 34 of 128 partitions, 2 being read, 30
                            durable, 2 repeated
                            2,100,000 rows, 52,000 rows/s, 1 min 53 s left

      WORKERS
        91f3ab12  public.order_items  partitions 36, 37 (attempt 2)
        c07d55e0  public.order_items  partition 38 (not heard of)
      up/down scroll  Esc back  q quit"
    `);
  });

  it('shows the same at 120 columns', () => {
    expect(textAt(page, WIDE)).toMatchInlineSnapshot(`
      "nanosync monitor  orders-pipeline                                           2 pipelines, 1 needs attention  12:00:00 UTC

      prod-postgres (postgres) -> warehouse (duckdb), cdc_backfill
      snapshotting

        lag         7 s (4.1 MB) behind the source
        changes     118/s applied, 120/s published, 52,000 rows/s copied
        source log  48 MB kept for this pipeline, growing 80 kB/s; 976 MB (about 3 h 23 min) until it drops what is needed
        L0, L1      575E220+5, not reached
        budget      [----------] 4% of 1.0 GB used

      TABLES
        public.orders       live          lag 7 s (4.1 MB), 118 changes/s, 12 waiting, 3,211 applied
        public.order_items  snapshotting  about 8,000,000 rows
                            [##--------] 34 of 128 partitions, 2 being read, 30 durable, 2 repeated
                            2,100,000 rows, 52,000 rows/s, 1 min 53 s left

      WORKERS
        91f3ab12  public.order_items  partitions 36, 37 (attempt 2)
        c07d55e0  public.order_items  partition 38 (not heard of)

      ...
      up/down scroll  Esc back  q quit"
    `);
  });

  it('begins with what needs a person, and its cure', () => {
    expect(shown(screenOf(answerOf(failed), NOON, 'billing')).slice(2, 6)).toEqual([
      'prod-postgres (postgres) -> warehouse (duckdb), cdc_backfill',
      'failed, NEEDS ATTENTION: failed',
      '  The slot is gone.',
      '    cure: Run: nanosync pipeline resnapshot billing',
    ]);
    const absent = { ...answerOf(busy), absent: { 'orders-pipeline': ['sink-writer'] } };
    expect(shown(screenOf(absent, NOON, 'orders-pipeline'))).toContain('  no sink-writer works on it: start nanosync service sink-writer');
  });

  it('scrolls no further than to its end', () => {
    const low = { columns: 80, rows: 10 };
    const end = typed(page, ['last', 'down', 'page-down'], low);
    expect(shown(end, low).slice(-3)).toEqual([
      expect.stringContaining('91f3ab12'),
      expect.stringContaining('c07d55e0'),
      expect.stringMatching(/^up\/down scroll.* above$/),
    ]);
    expect(typed(end, ['first'], low).scroll).toBe(0);
  });

  it('says that its pipeline is gone', () => {
    expect(shown(screenOf(answerOf(failed), NOON, 'orders-pipeline'))[2]).toBe('There is no pipeline orders-pipeline any more.');
  });

  it('lets no text move the cursor', () => {
    const evil = named('orders-pipeline', { waiting: 'held by \u001b[2Japp\r\n\u202e' });
    expect(shown(screenOf(answerOf(evil), NOON, 'orders-pipeline'))).toContain('  waiting: held by ?[2Japp???');
  });
});

describe('what the terminal is sent', () => {
  it('is the text alone without colours', () => {
    const plain = painted(screenLines(three, SMALL, NOON), false)
      .replaceAll('\u001b[2K', '')
      .replace('\u001b[H', '');
    expect(plain.includes('\u001b')).toBe(false);
    expect(plain.split('\r\n')).toHaveLength(24);
    expect(painted(screenLines(three, SMALL, NOON), true)).toContain('\u001b[7m> ');
  });
});

describe('what is typed', () => {
  it('is understood as terminals send it, several at once, and the rest is passed over whole', () => {
    expect(keysOf('\u001b[A\u001bOBj\r')).toEqual(['up', 'down', 'down', 'enter']);
    expect(keysOf('\u001b')).toEqual(['back']);
    expect(keysOf('\u001b[15~\u001b[1;5Cxé')).toEqual([]);
    expect(keysOf('\u0003')).toEqual(['quit']);
  });
});
