import { describe, expect, it } from 'vitest';
import { newPipeline } from './intent.ts';
import { positionOf } from './position.ts';
import type { PipelineRecord } from './records.ts';
import { isMoving, isReadFrom, isWrittenTo, turned } from './run-state.ts';

const connection = { name: 'c', type: 'fake', dsn: null, properties: {} };
const created = newPipeline(
  {
    name: 'p',
    replicationType: 'cdc_backfill',
    source: { connection, tables: ['s.a'] },
    sink: { connection },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  },
  0,
);

const anchor = { id: 'a', l0: positionOf(1n, 0n), origin: {} };
const inPhase = (phase: PipelineRecord['phase']): PipelineRecord => ({ ...created, phase, anchor: phase === 'created' ? null : anchor });
const wanting = (record: PipelineRecord, intent: Partial<PipelineRecord['intent']>): PipelineRecord => ({
  ...record,
  intent: { ...record.intent, ...intent },
});

describe('pausing and resuming', () => {
  it.each(['created', 'anchored', 'snapshotting', 'streaming'] as const)('a pipeline that is %s is paused and goes on there', (phase) => {
    const paused = turned(wanting(inPhase(phase), { run: 'paused' }));
    expect(paused).toMatchObject({ phase: 'paused', pausedIn: phase });
    expect(turned(paused as PipelineRecord)).toBeUndefined();
    expect(turned(wanting(paused as PipelineRecord, { run: 'running' }))).toEqual(inPhase(phase));
  });

  it.each(['failed', 'completed', 'stopped'] as const)('a pipeline that is %s stays so', (phase) => {
    expect(turned(wanting(inPhase(phase), { run: 'paused' }))).toBeUndefined();
    expect(turned(inPhase(phase))).toBeUndefined();
  });

  it('a paused pipeline whose phase nobody noted goes on where its anchor says', () => {
    expect(turned({ ...created, phase: 'paused' })?.phase).toBe('created');
    expect(turned({ ...created, phase: 'paused', anchor })?.phase).toBe('snapshotting');
  });
});

describe('what is read and written', () => {
  it('is what moves, while nobody wants it to rest', () => {
    const streaming = inPhase('streaming');
    expect([isMoving(streaming), isReadFrom(streaming), isWrittenTo(streaming)]).toEqual([true, true, true]);
    expect(isReadFrom(inPhase('created'))).toBe(false);
    const paused = wanting(streaming, { run: 'paused' });
    expect([isMoving(paused), isReadFrom(paused), isWrittenTo(paused)]).toEqual([false, false, true]);
    expect(isWrittenTo(turned(paused) as PipelineRecord)).toBe(true);
    const sink = wanting(streaming, { sink: 'paused' });
    expect([isMoving(sink), isReadFrom(sink), isWrittenTo(sink)]).toEqual([true, true, false]);
    const gone = wanting(streaming, { deletion: { dropTables: false } });
    expect([isMoving(gone), isReadFrom(gone), isWrittenTo(gone)]).toEqual([false, false, false]);
    expect(isReadFrom({ ...streaming, request: 'resnapshot' })).toBe(false);
  });
});
