import type { PipelineStatus } from '@nanosync/runtime';
import { describe, expect, it } from 'vitest';
import { statusText } from './status-text.ts';
import { at, copying, pipeline } from './testing/status-fixture.ts';

const text = (change: Partial<PipelineStatus> = {}) => statusText({ ...pipeline, ...change });
const retention = (change: Partial<NonNullable<PipelineStatus['retention']>>) => ({
  retention: { ...(pipeline.retention as NonNullable<PipelineStatus['retention']>), ...change },
});

describe('the text of a status', () => {
  it('says what moves, how far behind it is and how long the source keeps its log, in lines of a terminal', () => {
    expect(text()).toEqual([
      'orders-pipeline  snapshotting',
      '  lag         7 s (4.1 MB) behind the source',
      '  changes     118/s applied, 120/s published, 52,000 rows/s copied',
      '  source log  48 MB kept for this pipeline, growing 80 kB/s; 976 MB (about 3 h 23 min) until it drops what is needed',
      '  L0, L1      575E220+5, not reached',
      '  public.orders       live          lag 7 s (4.1 MB), 118 changes/s, 12 waiting',
      '    20,000 rows copied (5 of 5 partitions), 3,211 changes applied; L0 575E220+5, L1 575E2F8+5, watermark 57A0000+5',
      '  public.order_items  snapshotting  34 of 128 partitions, 52,000 rows/s, 1 min 53 s left',
      '    2,100,000 of about 8,000,000 rows (partitions: 30 durable, 2 repeated); L0 575E220+5, L1 -, watermark -',
    ]);
    for (const line of text()) expect(line.length).toBeLessThanOrEqual(120);
  });

  it('says of a table that it began without a copy', () => {
    const [table] = pipeline.tables;
    const none = { planned: 0, reading: 0, read: 0, durable: 0, total: 0, done: 0, repeated: 0 };
    const lines = (change: object) => text({ tables: [{ ...table!, adopts: true, partitions: none, ...change }] }).slice(-2);
    expect(lines({})[1]).toMatch(/^ {4}began without a copy, with 20,000 rows of the sink, 3,211 changes applied; L0 /);
    expect(lines({ phase: 'snapshotting', state: 'snapshotting' })).toEqual([
      expect.stringMatching(/begins without a copy$/),
      expect.stringMatching(/^ {4}with the rows that the sink has; L0 /),
    ]);
  });

  it('says which rows are missing of a table whose copy was stopped, and what copies them, until that is under way', () => {
    const missing = { partitions: 12, of: 40, ranges: ['28:29', '29:30', '30:31', '31:32'] };
    const tables = [{ ...pipeline.tables[0]!, missing }];
    const line =
      '  public.orders: rows that were not copied: 12 of 40 partitions (28:29, 29:30, 30:31, ...); those that have not changed since L0 are missing at the sink';
    expect(text({ tables }).slice(1, 3)).toEqual([line, '    run: nanosync pipeline resnapshot orders-pipeline --table public.orders']);
    expect(text({ tables, toCopy: ['public.orders'] }).slice(1, 3)).toEqual([line, '  to be copied anew: public.orders']);
    const none = [{ ...pipeline.tables[0]!, missing: { partitions: 0, of: 0, ranges: [] } }];
    expect(text({ tables: none })[1]).toBe(
      '  public.orders: no row of it was copied; those that have not changed since L0 are missing at the sink',
    );
    expect(text({ copyStops: true })[1]).toBe('  asked for: no more rows are copied');
  });

  it('shows a table that is copied anew as users see it, and its copy', () => {
    const older = {
      ...{ epoch: 'e0', rowsBuilt: 7_900_000, watermark: at('57A0000'), changesApplied: 812, waiting: 3, quarantined: 1, defects: 0 },
      ...{ lastAppliedMs: 0, failure: null },
    };
    expect(text({ tables: [{ ...copying, older }], toCopy: ['public.orders'] }).slice(1)).toEqual([
      '  to be copied anew: public.orders',
      expect.stringContaining('lag'),
      expect.stringContaining('changes'),
      expect.stringContaining('source log'),
      expect.stringContaining('L0, L1'),
      '  public.order_items  live  QUARANTINED 1, 3 waiting',
      '    7,900,000 rows copied, 812 changes applied; watermark 57A0000+5',
      '    copying anew: snapshotting, 34 of 128 partitions, 52,000 rows/s, 1 min 53 s left',
      '      2,100,000 of about 8,000,000 rows (partitions: 30 durable, 2 repeated); L0 575E220+5, L1 -, watermark -',
    ]);
    const failure = { reason: 'A column was added.', cure: 'The copy takes its place.' };
    const stopped = text({ tables: [{ ...copying, older: { ...older, failure } }] });
    expect(stopped[1]).toBe('  public.order_items, as it is until the switch: A column was added.');
    expect(stopped).toContainEqual(expect.stringMatching(/^ {2}public.order_items {2}stopped /));
  });

  it.each([
    [
      'without a limit',
      { state: 'unlimited', limitBytes: null, leftBytes: null },
      /no limit is set \(max_slot_wal_keep_size\): the disk is$/,
    ],
    ['that does not grow', { growthBytesPerSecond: 0, secondsLeft: null }, /48 MB kept for this pipeline; 976 MB \(not growing\) until/],
    ['at risk', { state: 'at risk', leftBytes: 0 }, /AT ANY MOMENT. Raise max_slot_wal_keep_size now$/],
    ['lost', { state: 'lost' }, /LOST: .* Run: nanosync pipeline resnapshot orders-pipeline$/],
  ] as const)('says what becomes of a log %s', (_, change, expected) => {
    expect(text(retention(change)).find((line) => line.includes('source log'))).toMatch(expected);
  });

  it('says that figures are old, and why', () => {
    const figures = { sourceSeconds: 42, plannerSeconds: 1, old: true, failure: 'away' };
    expect(text({ figures })[1]).toBe('  lag         7 s (4.1 MB) behind the source (AS OF 42 s AGO: the source does not answer)');
    expect(text({ figures: { ...figures, failure: null, plannerSeconds: 42 } })[1]).toContain('(AS OF 42 s AGO: no planner looks)');
    const never = { sourceSeconds: null, plannerSeconds: null, old: true, failure: null };
    expect(text({ figures: never, lag: null })[1]).toBe('  lag         - (the source was not asked yet)');
  });

  it('says of a table that cannot be added that the others go on, and of a service since when it does not work', () => {
    const trouble = { service: 'planner', reason: 'Table b has no key.', manual: true, partial: true, seconds: 5 };
    expect(text({ healthy: false, troubles: [trouble], toAdd: ['b'] }).slice(0, 3)).toEqual([
      'orders-pipeline  snapshotting, NEEDS ATTENTION: 1 new table cannot be added, the others go on',
      '  planner tries again: Table b has no key.',
      '  to be added: b',
    ]);
    const steady = { service: 'sink-writer', reason: 'It is away.', manual: false, partial: false, seconds: 130 };
    expect(text({ healthy: false, troubles: [steady] }).slice(0, 2)).toEqual([
      'orders-pipeline  snapshotting, NEEDS ATTENTION: sink-writer does not work',
      '  sink-writer tries again: It is away. (for 2 min 10 s)',
    ]);
  });
});
