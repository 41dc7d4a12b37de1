import type { PipelineDefinition } from './definition.ts';
import { PipelineError } from './errors.ts';
import { PIPELINE_MACHINE } from './phases.ts';
import type { PipelineIntent, PipelineRecord } from './records.ts';
import { RECORD_VERSION } from './records.ts';
import { followsChanges } from './replication.ts';

/** What is wanted of a pipeline that nobody asked anything of. */
export const RUNNING: PipelineIntent = { run: 'running', sink: 'running', deletion: null, copyAnew: [] };

/** The record of a pipeline that is new. */
export function newPipeline(definition: PipelineDefinition, nowMs: number): PipelineRecord {
  return {
    v: RECORD_VERSION,
    definition,
    phase: 'created',
    anchor: null,
    failure: null,
    waiting: null,
    request: null,
    intent: RUNNING,
    createdMs: nowMs,
  };
}

/** What one may ask of a pipeline that is stored. */
export type PipelineCommand =
  | { readonly kind: 'pause' | 'resume'; readonly part: 'pipeline' | 'sink' }
  /** All tables where `table` is null. */
  | { readonly kind: 'resnapshot'; readonly table: string | null }
  /** Of a query pipeline: a run before its time. */
  | { readonly kind: 'run' }
  /** `force`: a source or sink that does not answer is left as it is. */
  | { readonly kind: 'delete'; readonly dropTables: boolean; readonly force?: boolean };

/**
 * The record after a command, or undefined where it says so already (pure: for `updateRecord`). Throws PipelineError `config` for what cannot
 * be asked of the pipeline as it stands, with what can.
 */
export function afterCommand(record: PipelineRecord, command: PipelineCommand): PipelineRecord | undefined {
  const { intent, definition } = record;
  const { name } = definition;
  if (intent.deletion !== null && command.kind !== 'delete')
    throw new PipelineError('config', `pipeline ${name} is being deleted.`, { hint: 'Once it is gone apply it again.' });
  switch (command.kind) {
    case 'pause':
    case 'resume': {
      const wanted = command.kind === 'pause' ? 'paused' : 'running';
      const part = command.part === 'sink' ? 'sink' : 'run';
      return intent[part] === wanted ? undefined : { ...record, intent: { ...intent, [part]: wanted } };
    }
    case 'delete': {
      const dropTables = command.dropTables || intent.deletion?.dropTables === true;
      const force = command.force === true || intent.deletion?.force === true;
      if (intent.deletion?.dropTables === dropTables && (intent.deletion.force === true) === force) return undefined;
      return { ...record, intent: { ...intent, deletion: { dropTables, ...(force ? { force } : {}) } } };
    }
    case 'resnapshot':
      return afterResnapshot(record, command.table);
    case 'run':
      return afterRun(record);
  }
}

/** A pipeline that goes on copies beside its stream; one that cannot, or has none, begins a new life. */
function afterResnapshot(record: PipelineRecord, table: string | null): PipelineRecord | undefined {
  const { intent, definition, phase, request } = record;
  const { name, source } = definition;
  const tables = definition.query === undefined ? source.tables : [definition.query.table];
  if (table !== null && !tables.includes(table))
    throw new PipelineError('config', `pipeline ${name} has no table ${table}.`, { hint: `It has ${tables.join(', ')}.` });
  if (PIPELINE_MACHINE[phase].resnapshot === null)
    throw new PipelineError('config', `pipeline ${name} is ${phase} and cannot be copied anew.`, { hint: 'Apply it under a new name.' });
  if (request === 'resnapshot') return undefined; // That copies everything.
  if (phase === 'created' && definition.replicationType === 'cdc')
    throw new PipelineError('config', `pipeline ${name} has not begun, and begins with what the sink has.`, {
      hint: 'Ask again once it has begun or failed; to copy its tables now, apply it with replication_type: cdc_backfill.',
    });
  if (definition.query !== undefined) return { ...record, request: 'resnapshot' };
  if (goesOn(record)) {
    const wanted = (table === null ? source.tables : [table]).filter((one) => !intent.copyAnew.includes(one));
    return wanted.length === 0 ? undefined : { ...record, intent: { ...intent, copyAnew: [...intent.copyAnew, ...wanted] } };
  }
  if (table !== null)
    throw new PipelineError('config', `pipeline ${name} is ${phase}, so no table of it can be copied anew by itself.`, {
      hint: `Run: nanosync pipeline resnapshot ${name}`,
    });
  return { ...record, request: 'resnapshot' };
}

/** A resnapshot that is asked for is a run too. */
function afterRun(record: PipelineRecord): PipelineRecord | undefined {
  const { definition, request } = record;
  if (definition.query === undefined)
    throw new PipelineError('config', `pipeline ${definition.name} runs no query.`, {
      hint: `To copy its tables anew, run: nanosync pipeline resnapshot ${definition.name}`,
    });
  return request === null ? { ...record, request: 'run' } : undefined;
}

/** The record once the first copies of its tables are to stop where they are (pure); with the type `cdc` it is stored in one write. */
export function withCopyStopped(record: PipelineRecord): PipelineRecord {
  return record.anchor === null || record.copyStopped === true ? record : { ...record, copyStopped: true };
}

/** True while the pipeline's anchor is the beginning of a stream that is being followed, or will be when it is resumed. */
export function goesOn({ definition, phase, anchor }: PipelineRecord): boolean {
  const isMoving = phase === 'anchored' || phase === 'snapshotting' || phase === 'streaming' || phase === 'paused';
  return anchor !== null && isMoving && followsChanges(definition);
}
