/**
 * The three state machines. Each is a total table: every phase says for every event what comes next, or `null` where the
 * event must not happen. A phase or an event without an entry does not compile.
 */

/**
 * - `created`: known to the planner; nothing exists at the source yet.
 * - `anchored`: publication, slot and anchor exist, the anchor is durable.
 * - `snapshotting`: at least one table is not built yet.
 * - `streaming`: every table is built; changes are followed.
 * - `scheduled`: a `query` pipeline, whose runs begin at their times; it has no slot and no changes. Paused, it stays so.
 * - `paused`: stopped by a user, to be resumed; the record says in which phase it was and goes on.
 * - `failed`: something is not as it must be; the record says what and which command repairs it.
 * - `completed`: every table of a pipeline that ends (`snapshot`) is built and shown; a table that is added begins it again.
 * - `stopped`: being deleted.
 */
export type PipelinePhase =
  | 'created'
  | 'anchored'
  | 'snapshotting'
  | 'streaming'
  | 'scheduled'
  | 'paused'
  | 'failed'
  | 'completed'
  | 'stopped';
/** Phases in which a pipeline is paused and goes on later. One that has ended, or has failed, stays what it is. */
export type PausablePhase = 'created' | 'anchored' | 'snapshotting' | 'streaming';
export type PipelineEvent =
  | 'anchor'
  | 'schedule'
  | 'plan'
  | 'all-built'
  | 'pause'
  | `resume-${PausablePhase}`
  | 'fail'
  | 'complete'
  | 'resnapshot'
  | 'delete';

/** What an event makes of a pipeline's phase. */
export const PIPELINE_MACHINE: Record<PipelinePhase, Record<PipelineEvent, PipelinePhase | null>> = {
  created: row({ anchor: 'anchored', schedule: 'scheduled', pause: 'paused', fail: 'failed', delete: 'stopped', resnapshot: 'created' }),
  anchored: row({ anchor: 'anchored', plan: 'snapshotting', pause: 'paused', fail: 'failed', resnapshot: 'created', delete: 'stopped' }),
  snapshotting: row({
    plan: 'snapshotting',
    'all-built': 'streaming',
    complete: 'completed',
    pause: 'paused',
    fail: 'failed',
    resnapshot: 'created',
    delete: 'stopped',
  }),
  streaming: row({
    plan: 'snapshotting',
    'all-built': 'streaming',
    pause: 'paused',
    fail: 'failed',
    resnapshot: 'created',
    delete: 'stopped',
  }),
  scheduled: row({ schedule: 'scheduled', resnapshot: 'scheduled', delete: 'stopped' }),
  paused: row({
    pause: 'paused',
    'resume-created': 'created',
    'resume-anchored': 'anchored',
    'resume-snapshotting': 'snapshotting',
    'resume-streaming': 'streaming',
    fail: 'failed',
    resnapshot: 'created',
    delete: 'stopped',
  }),
  failed: row({ fail: 'failed', resnapshot: 'created', delete: 'stopped' }),
  completed: row({ plan: 'snapshotting', resnapshot: 'created', delete: 'stopped' }),
  stopped: row({ delete: 'stopped' }),
};

/**
 * - `planned`: its epoch and schema are chosen; ranges may not exist yet.
 * - `snapshotting`: its ranges are in the ledger and are being read.
 * - `built`: its generation exists at the sink; waiting changes are applied.
 * - `following`: the sink has reached L1.
 * - `failed`: needs the repair that its record names.
 */
export type TablePhase = 'planned' | 'snapshotting' | 'built' | 'following' | 'failed';
export type TableEvent = 'ranges' | 'built' | 'caught-up' | 'void' | 'fail' | 'resnapshot';

/** What an event makes of a table's phase. */
export const TABLE_MACHINE: Record<TablePhase, Record<TableEvent, TablePhase | null>> = {
  planned: { ranges: 'snapshotting', built: null, 'caught-up': null, void: 'planned', fail: 'failed', resnapshot: 'planned' },
  snapshotting: { ranges: 'snapshotting', built: 'built', 'caught-up': null, void: 'planned', fail: 'failed', resnapshot: 'planned' },
  built: { ranges: null, built: 'built', 'caught-up': 'following', void: null, fail: 'failed', resnapshot: 'planned' },
  following: { ranges: null, built: 'following', 'caught-up': 'following', void: null, fail: 'failed', resnapshot: 'planned' },
  failed: { ranges: null, built: null, 'caught-up': null, void: null, fail: 'failed', resnapshot: 'planned' },
};

/**
 * - `planned`: in the ledger; its task may or may not be on the bus.
 * - `reading`: a worker took it under a random attempt id; a repeated task may take it over under another.
 * - `read`: one attempt published its end marker.
 * - `durable`: the sink holds all batches of one attempt. May follow any state and is never undone.
 */
export type PartitionPhase = 'planned' | 'reading' | 'read' | 'durable';
export type PartitionEvent = 'take' | 'read' | 'durable';

/** What an event makes of a partition's phase. */
export const PARTITION_MACHINE: Record<PartitionPhase, Record<PartitionEvent, PartitionPhase | null>> = {
  planned: { take: 'reading', read: null, durable: 'durable' },
  reading: { take: 'reading', read: 'read', durable: 'durable' },
  read: { take: null, read: 'read', durable: 'durable' },
  durable: { take: null, read: 'durable', durable: 'durable' },
};

/** The next phase, or an error that says which step was impossible. */
export function step<P extends string, E extends string>(machine: Record<P, Record<E, P | null>>, phase: P, event: E): P {
  const next = machine[phase][event];
  if (next === null) throw new RangeError(`event ${event} is impossible in phase ${phase}`);
  return next;
}

function row(allowed: Partial<Record<PipelineEvent, PipelinePhase>>): Record<PipelineEvent, PipelinePhase | null> {
  const none: Record<PipelineEvent, null> = {
    anchor: null,
    schedule: null,
    plan: null,
    'all-built': null,
    pause: null,
    'resume-created': null,
    'resume-anchored': null,
    'resume-snapshotting': null,
    'resume-streaming': null,
    fail: null,
    complete: null,
    resnapshot: null,
    delete: null,
  };
  return { ...none, ...allowed };
}
