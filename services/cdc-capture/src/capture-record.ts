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
import { comparePositions, PipelineError, putOf, RECORD_VERSION, readRecord, stateKeys } from '@nanosync/core';

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
  return { epoch, l0, l1: null, changes: 0, overlap: NO_OVERLAP, quarantined: 0, quarantinedBefore: 0, failure: null };
}

/** What earlier sessions of this anchor stored, and the version that a new session must find unchanged. */
export interface CaptureStart {
  readonly record: CaptureRecord;
  readonly version: number;
}

/**
 * A capture record as a session begins with it, of a pipeline whose `leaving` tables are being taken out (pure). They count up to `end`, the log's end when
 * the source had let this session in: no earlier session can have decoded anything beyond it, so every session numbers each transaction alike.
 * Behind that end a table is forgotten, and one that is followed again begins as any other.
 */
export function withLeft(
  record: CaptureRecord,
  leaving: readonly string[],
  end: Position,
  topicOf: (table: string) => string,
): CaptureRecord {
  const left = Object.fromEntries(leaving.map((table) => [table, record.left?.[table] ?? end]));
  const forgotten = [
    ...Object.keys(record.left ?? {}).filter((table) => left[table] === undefined),
    ...leaving.filter((table) => isLeft(record, table)),
  ];
  const without = <T>(entries: Readonly<Record<string, T>>, keys: readonly string[]) =>
    Object.fromEntries(Object.entries(entries).filter(([key]) => !keys.includes(key)));
  const topics = forgotten.map(topicOf);
  return {
    ...record,
    tables: without(record.tables, forgotten) as CaptureRecord['tables'],
    topics: without(record.topics, topics),
    ends: without(record.ends, topics),
    left,
  };
}

/** True where no session begins below the end of a table that is being taken out: it is not needed in the stream any more. */
export function isLeft({ left, acknowledged }: CaptureRecord, table: string): boolean {
  const end = left?.[table];
  return end !== undefined && comparePositions(end, acknowledged) <= 0;
}

/** Where a session of this anchor would go on. */
export async function captureStart(ctx: ServiceContext, pipeline: string, anchor: Anchor): Promise<CaptureStart> {
  const before = await readRecord<CaptureRecord>(ctx.state, stateKeys.capture(pipeline));
  const session = before?.value.session ?? 0;
  const record = before?.value.anchor === anchor.id ? before.value : freshRecord(anchor, session);
  return { record, version: before?.version ?? 0 };
}

/** The capture record as this session alone writes it: a write that is beaten means that another session took over. */
export class CaptureStore {
  private readonly ctx: ServiceContext;
  private stored: Stored<CaptureRecord>;

  private constructor(ctx: ServiceContext, stored: Stored<CaptureRecord>) {
    this.ctx = ctx;
    this.stored = stored;
  }

  /**
   * Begins a session, once the source has let it in: its number is above the stored one and above `tailSession`, and is stored before
   * anything is published. What was read at the start must still be there, or another session began meanwhile.
   */
  static async begin(ctx: ServiceContext, pipeline: string, start: CaptureStart, tailSession: number): Promise<CaptureStore> {
    const key = stateKeys.capture(pipeline);
    const { createdMs } = await requireAnchor(ctx, pipeline, start.record.anchor);
    // Invariant 'gapless-sessions': above every session that may still have messages on their way; also of an earlier pipeline of this name, which
    // was deleted with all that would say how many it had: they were fewer than milliseconds went by since it was created.
    const session = start.version === 0 ? createdMs : start.record.session;
    const value = { ...start.record, session: Math.max(session, tailSession) + 1 };
    const version = await putOf(ctx.state, pipeline, key, value, start.version);
    if (version === undefined) throw new PipelineError('conflict', `Another capture of ${pipeline} began a session at the same time.`);
    return new CaptureStore(ctx, { key, value, version });
  }

  get record(): CaptureRecord {
    return this.stored.value;
  }

  /** The version that this session stored last. */
  get version(): number {
    return this.stored.version;
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

/**
 * Leaves the reason why capture stopped, for the planner to act on. False when the record is no longer as the failed session knew it
 * (`known`): another one has taken over, and what looked like a gap may be only its progress. Nothing is written either when the
 * pipeline has been anchored anew.
 */
export async function reportFailure(
  ctx: ServiceContext,
  pipeline: PipelineRecord,
  failure: Failure,
  known: number | undefined,
): Promise<boolean> {
  const { anchor, definition } = pipeline;
  if (anchor === null) return false;
  const { record, version } = await captureStart(ctx, definition.name, anchor);
  if (known !== undefined && known !== version) return false;
  if (!(await isAnchored(ctx, definition.name, anchor.id))) return false;
  return (await ctx.state.put(stateKeys.capture(definition.name), { ...record, failure }, version)) !== undefined;
}

/**
 * Asked after the capture record was read and before it is written at that version: while the pipeline still has this anchor, no
 * capture of a later one can have written what was read.
 */
async function isAnchored(ctx: ServiceContext, pipeline: string, anchor: string): Promise<boolean> {
  return (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline)))?.value.anchor?.id === anchor;
}

async function requireAnchor(ctx: ServiceContext, pipeline: string, anchor: string): Promise<PipelineRecord> {
  const record = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline)))?.value;
  if (record?.anchor?.id !== anchor)
    throw new PipelineError('conflict', `Pipeline ${pipeline} was anchored anew; this capture's anchor is over.`);
  return record;
}
