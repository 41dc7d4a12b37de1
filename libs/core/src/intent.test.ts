import { describe, expect, it } from 'vitest';
import type { PipelineCommand } from './intent.ts';
import { afterCommand, newPipeline, RUNNING } from './intent.ts';
import { positionOf } from './position.ts';
import type { PipelineRecord } from './records.ts';

const connection = { name: 'c', type: 'fake', dsn: null, properties: {} };
const created = newPipeline(
  {
    name: 'p',
    replicationType: 'cdc_backfill',
    source: { connection, tables: ['s.a', 's.b'] },
    sink: { connection },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  },
  0,
);
const streaming: PipelineRecord = { ...created, phase: 'streaming', anchor: { id: 'a', l0: positionOf(1n, 0n), origin: {} } };

/** The record after the commands, in order; one that changes nothing leaves it. */
function after(record: PipelineRecord, ...commands: readonly PipelineCommand[]): PipelineRecord {
  return commands.reduce((now, command) => afterCommand(now, command) ?? now, record);
}

describe('what is asked of a pipeline', () => {
  it.each<PipelineCommand>([
    { kind: 'pause', part: 'pipeline' },
    { kind: 'pause', part: 'sink' },
    { kind: 'resnapshot', table: null },
    { kind: 'resnapshot', table: 's.a' },
    { kind: 'delete', dropTables: false },
    { kind: 'delete', dropTables: true },
  ])('is asked once however often: %j', (command) => {
    expect(afterCommand(after(streaming, command), command)).toBeUndefined();
  });

  it('pauses pipeline and sink apart from one another', () => {
    const paused = after(streaming, { kind: 'pause', part: 'pipeline' }, { kind: 'pause', part: 'sink' });
    expect(paused.intent).toMatchObject({ run: 'paused', sink: 'paused' });
    expect(after(paused, { kind: 'resume', part: 'pipeline' }).intent).toMatchObject({ run: 'running', sink: 'paused' });
    expect(afterCommand(streaming, { kind: 'resume', part: 'pipeline' })).toBeUndefined();
  });

  it('copies beside the stream where there is one, one table or all', () => {
    const one = after(streaming, { kind: 'resnapshot', table: 's.b' });
    expect(one).toMatchObject({ request: null, intent: { copyAnew: ['s.b'] } });
    expect(after(one, { kind: 'resnapshot', table: null }).intent.copyAnew).toEqual(['s.b', 's.a']);
  });

  it.each<PipelineRecord['phase']>([
    'created',
    'failed',
    'completed',
  ])('begins a new life of a pipeline that is %s, as a whole', (phase) => {
    const record: PipelineRecord = { ...streaming, phase, anchor: phase === 'created' ? null : streaming.anchor };
    expect(after(record, { kind: 'resnapshot', table: null })).toMatchObject({ request: 'resnapshot', intent: RUNNING });
    expect(() => afterCommand(record, { kind: 'resnapshot', table: 's.a' })).toThrow(/by itself/);
  });

  it('copies nothing of a pipeline without a copy that has not begun, and says how to', () => {
    const record: PipelineRecord = { ...created, definition: { ...created.definition, replicationType: 'cdc' } };
    expect(() => afterCommand(record, { kind: 'resnapshot', table: null })).toThrow(/begins with what the sink has/);
    expect(after({ ...record, phase: 'failed' }, { kind: 'resnapshot', table: null })).toMatchObject({ request: 'resnapshot' });
  });

  it('never takes a deletion back, and drops tables once that was asked for', () => {
    const gone = after(streaming, { kind: 'delete', dropTables: true }, { kind: 'delete', dropTables: false });
    expect(gone.intent.deletion).toEqual({ dropTables: true });
    expect(() => afterCommand(gone, { kind: 'resume', part: 'pipeline' })).toThrow(/being deleted/);
  });

  it('names the tables there are for one that is not', () => {
    expect(() => afterCommand(streaming, { kind: 'resnapshot', table: 's.x' })).toThrow('has no table s.x');
  });
});
