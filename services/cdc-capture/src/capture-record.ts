import type {
  Anchor,
  CaptureRecord,
  CaptureTable,
  Failure,
  OverlapCounts,
  PipelineRecord,
  Position,
  ServiceContext,
  Stored,
} from '@nanosync/core';
import { PipelineError, RECORD_VERSION, readRecord, stateKeys, updateRecord } from '@nanosync/core';

const NO_OVERLAP: OverlapCounts = { inserts: 0, updates: 0, deletes: 0, keyChanges: 0, completed: 0, truncates: 0 };

/** The record of an anchor under which nothing was published yet. */
export function freshRecord(anchor: Anchor, session: number): CaptureRecord {
  return {
    v: RECORD_VERSION,
    anchor: anchor.id,
    session,
    published: anchor.l0,
    acknowledged: anchor.l0,
    ends: {},
    topics: {},
    tables: {},
    eventsPublished: 0,
    lastCommitMs: 0,
    failure: null,
  };
}

/** A table from its generation event on. */
export function freshTable(epoch: string, l0: Position): CaptureTable {
  return { epoch, l0, l1: null, changes: 0, overlap: NO_OVERLAP, quarantined: 0, failure: null };
}

/** The capture record as this session alone writes it: a write that is beaten means that another session took over. */
export class CaptureStore {
  private readonly ctx: ServiceContext;
  private stored: Stored<CaptureRecord>;

  private constructor(ctx: ServiceContext, stored: Stored<CaptureRecord>) {
    this.ctx = ctx;
    this.stored = stored;
  }

  /** Begins a session: its number is above the stored one and above `tailSession`, and is stored before anything is published. */
  static async begin(ctx: ServiceContext, pipeline: string, anchor: Anchor, tailSession: number): Promise<CaptureStore> {
    const key = stateKeys.capture(pipeline);
    const before = await readRecord<CaptureRecord>(ctx.state, key);
    const session = Math.max(before?.value.session ?? 0, tailSession) + 1;
    const value = before?.value.anchor === anchor.id ? { ...before.value, session } : freshRecord(anchor, session);
    const version = await ctx.state.put(key, value, before?.version ?? 0);
    if (version === undefined) throw new PipelineError('conflict', `Another capture of ${pipeline} began a session at the same time.`);
    return new CaptureStore(ctx, { key, value, version });
  }

  get record(): CaptureRecord {
    return this.stored.value;
  }

  /** Stores what has been published, after the bus acknowledged it and before the source is told. */
  async store(value: CaptureRecord): Promise<void> {
    const version = await this.ctx.state.put(this.stored.key, value, this.stored.version);
    if (version === undefined) throw new PipelineError('conflict', 'Another capture session has taken over.');
    this.stored = { ...this.stored, value, version };
  }
}

/** True when capture has stopped for good under the pipeline's anchor; the planner will act on it. */
export async function hasFailed(ctx: ServiceContext, pipeline: PipelineRecord): Promise<boolean> {
  const record = (await readRecord<CaptureRecord>(ctx.state, stateKeys.capture(pipeline.definition.name)))?.value;
  return record !== undefined && record.anchor === pipeline.anchor?.id && record.failure !== null;
}

/** Leaves the reason why capture stopped, for the planner to act on. */
export async function reportFailure(ctx: ServiceContext, pipeline: PipelineRecord, failure: Failure): Promise<void> {
  const { anchor, definition } = pipeline;
  if (anchor === null) return;
  const key = stateKeys.capture(definition.name);
  const stored = await updateRecord<CaptureRecord>(ctx.state, key, (record) => {
    const value = record.anchor === anchor.id ? record : freshRecord(anchor, record.session);
    return { ...value, failure };
  });
  if (stored === undefined) await ctx.state.put(key, { ...freshRecord(anchor, 0), failure }, 0);
}
