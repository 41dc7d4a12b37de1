import type {
  Anchor,
  CaptureRecord,
  ChangeReader,
  ChangesOptions,
  PipelineRecord,
  Position,
  ServiceContext,
  Source,
  SourceEvent,
  TableId,
  TableRecord,
} from '@nanosync/core';
import { comparePositions, endTrouble, leavingTables, PipelineError, readRecord, stateKeys } from '@nanosync/core';
import type { CaptureStart } from './capture-record.ts';
import { CaptureStore, captureStart, isLeft, withLeft } from './capture-record.ts';
import { asBegun, isUnknown, tablesOf } from './captured-tables.ts';
import { EventPublisher } from './event-publisher.ts';
import { SessionProgress } from './session-progress.ts';
import { checkTopics, tailSession } from './topic-tail.ts';
import { completedTables } from './unbased-tables.ts';

/** A table gets its watermark once the source has been quiet for this long after the table's last event, in milliseconds. */
const QUIET_MS = 300;
/** Encoded bytes that are gathered before they are published, also within one transaction. */
const FLUSH_BYTES = 4_000_000;

/** Lets the caller ask, also after a failure, which version of the capture record the session knew last. */
export interface KnownRecord {
  version: () => number | undefined;
  /** Epochs that the next session begins: kept from session to session. */
  readonly next: Set<string>;
}

/**
 * One capture session: publishes every change of the pipeline's tables to each bus partition in position order without gap, beginning at the
 * acknowledged position, until the signal aborts. Order of each flush: published with the bus's acknowledgement, then positions stored, then
 * acknowledged to the source. Throws when anything breaks; the producer is then thrown away with the session.
 */
export async function runCaptureSession(ctx: ServiceContext, pipeline: PipelineRecord, known: KnownRecord): Promise<void> {
  const { anchor, definition } = pipeline;
  const { name } = definition;
  if (anchor === null) throw new PipelineError('defect', `Pipeline ${name} is captured without an anchor.`);
  const recorded = await tablesOf(ctx, pipeline, anchor);
  await using source = await ctx.openSource(definition.source.connection);
  const start = await captureStart(ctx, name, anchor);
  known.version = () => start.version;
  const leaving = leavingTables(pipeline);
  const needed = recorded.filter(({ table }) => !leaving.includes(table) || !isLeft(start.record, table));
  const tables = asBegun(needed, start.record.tables, known.next);
  await source.verify(name, anchor, start.record.published);
  let progress: SessionProgress | undefined;
  const completed = completedTables(pipeline, tables);
  const lost = new AbortController();
  const signal = AbortSignal.any([ctx.signal, lost.signal]);
  // The slot lets in one reader at a time: a capture that is not let in disturbs nobody, and one that is has ended the earlier one.
  await using reader = await source.changes({
    pipeline: name,
    anchor,
    from: start.record.acknowledged,
    tables: tables.map(({ schema, storage }) => ({ schema, storage })),
    // Invariant 'complete-images': a sink that was given no rows may lack any of them, for good.
    complete: (table) => progress === undefined || (progress.hasTable(table) && (completed.has(table) || progress.isBelowL1(table))),
    begun: (table, position) => progress?.hasBegun(table, position) ?? true,
    ...confirmOf(ctx, { name, anchor, lost }),
    signal,
  });
  const settled = await settleLeaving({ ...ctx, signal }, source, { pipeline, start });
  const store = await CaptureStore.begin(ctx, name, settled, await tailSession(ctx, name, tables));
  known.version = () => store.version;
  // Who stored where a table ends may have died just then; a store that lost it would let the next session number otherwise what this one publishes.
  if (leaving.length > 0) await ctx.clock.sleep(ctx.state.mayLoseMs ?? 0, signal);
  // Nothing was published since it was taken out: it ends where this session begins, and its topic may be gone by now. The next one begins without it.
  if (canLetGo({ store, tables })) return;
  await checkTopics(ctx, name, tables, store.record);
  await using publisher = await EventPublisher.open(ctx, pipeline, anchor, tables, store.record);
  progress = new SessionProgress(store.record);
  await publishFirstGenerations(tables, anchor, publisher, progress);
  const session = { pipeline, tables, completed, next: known.next, publisher, progress, store };
  await flush({ ctx, ...session });
  ctx.log.info('capture session begins', { pipeline: name, session: store.record.session, position: store.record.acknowledged });
  await endTrouble(ctx.state, name, 'cdc-capture');
  await pump({ ctx: { ...ctx, signal }, ...session, reader });
  if (lost.signal.aborted) throw new PipelineError('conflict', 'The state store has lost what this capture session had stored.');
}

/** Called once the source has let the session in: tables that are being taken out end at the log's end as it is now, unless their end is stored. */
async function settleLeaving(
  ctx: ServiceContext,
  source: Source,
  { pipeline, start }: { readonly pipeline: PipelineRecord; readonly start: CaptureStart },
): Promise<CaptureStart> {
  const leaving = leavingTables(pipeline);
  const { left = {} } = start.record;
  const isNew = leaving.some((table) => left[table] === undefined);
  if (!isNew && Object.keys(left).every((table) => leaving.includes(table)) && !leaving.some((table) => isLeft(start.record, table)))
    return start;
  const topicOf = (table: string) => ctx.topics.changes(pipeline.definition.name, table);
  return { ...start, record: withLeft(start.record, leaving, await source.end(), topicOf) };
}

/**
 * The source is told to forget only what the store has had for longer than what it may lose, and still has: so a store that lost its newest
 * writes, however long ago, knows all that the source has forgotten, and what it lacks comes again.
 */
function confirmOf(
  ctx: ServiceContext,
  session: { readonly name: string; readonly anchor: Anchor; readonly lost: AbortController },
): Pick<ChangesOptions, 'confirm'> {
  const { mayLoseMs: afterMs = 0 } = ctx.state;
  if (afterMs === 0) return {};
  const mayTell = async (position: Position) => {
    const record = (await readRecord<CaptureRecord>(ctx.state, stateKeys.capture(session.name)))?.value;
    const isKnown = record?.anchor === session.anchor.id && comparePositions(record.acknowledged, position) >= 0;
    if (!isKnown) session.lost.abort(); // This session would find out at its next store, which may be long away.
    return isKnown;
  };
  return { confirm: { afterMs, mayTell } };
}

/** The next events of the stream, or undefined at its end. */
type Pending = Promise<readonly SourceEvent[] | undefined>;

interface Session {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  /** As this session decodes them. */
  readonly tables: readonly TableRecord[];
  readonly next: Set<string>;
  readonly completed: ReadonlySet<TableId>;
  readonly publisher: EventPublisher;
  readonly progress: SessionProgress;
  readonly store: CaptureStore;
}

/** For a pipeline's first tables L0 is the slot's consistent point, and their generation events come before any change. */
async function publishFirstGenerations(
  tables: readonly TableRecord[],
  anchor: Anchor,
  publisher: EventPublisher,
  progress: SessionProgress,
): Promise<void> {
  for (const table of tables) {
    if (table.l0 !== anchor.l0 || progress.hasTable(table.table)) continue;
    publisher.generation(table.table, table.epoch, anchor.l0, progress);
  }
}

/** Takes events from the source until it ends; flushes whenever a piece has been taken in. */
async function pump(session: Session & { readonly reader: ChangeReader }): Promise<void> {
  const { ctx, reader, progress } = session;
  let pending = reader.next();
  for (;;) {
    if (canLetGo(session)) return ctx.log.info('capture lets a table go', { pipeline: session.pipeline.definition.name });
    const events = await withinQuiet(ctx, pending, progress.hasDirtyTables || progress.hasUnstoredIdle);
    if (events === 'quiet') {
      publishWatermarks(session, progress.dirtyTables());
      await flush(session);
      acknowledge(session);
      continue;
    }
    if (events === undefined) return;
    const taken = await takeReady(session, reader, events);
    if (taken === 'unknown') {
      await flush(session); // What came before is decoded by this session, and by no later one.
      return ctx.log.info('capture begins a table', { pipeline: session.pipeline.definition.name });
    }
    pending = taken.pending;
    await flush(session);
    acknowledge(session);
  }
}

/** True once it is stored that a table which is being taken out is needed no more: the next session begins without it. */
function canLetGo({ store, tables }: Pick<Session, 'store' | 'tables'>): boolean {
  return tables.some(({ table }) => isLeft(store.record, table));
}

/**
 * Takes these events in, and those that are already there behind them, so that a backlog costs few flushes. A marker decides
 * whether what follows it is completed, so it is taken in before more is asked for. Returns what was asked for last, or that a table begins
 * here that this session does not know: nothing of it may be passed over, so the next session begins before it.
 */
async function takeReady(
  session: Session,
  reader: ChangeReader,
  first: readonly SourceEvent[],
): Promise<{ readonly pending: Pending } | 'unknown'> {
  for (let events = first; ; ) {
    const early = events.at(-1)?.kind === 'marker' ? undefined : ahead(reader);
    let full = false;
    for (const event of events) {
      if (await isUnknown(session, event)) return 'unknown';
      take(session, event);
      // Invariant 'bounded': a transaction of any size goes out in pieces.
      if (session.publisher.bytes < FLUSH_BYTES) continue;
      await flush(session);
      full = true;
    }
    const pending = early ?? ahead(reader);
    const ready = full ? 'later' : await Promise.race([pending, nextTurn()]);
    if (ready === undefined || ready === 'later') return { pending };
    events = ready;
  }
}

/** Lets what has already arrived be handed over. */
function nextTurn(): Promise<'later'> {
  return new Promise((resolve) => setImmediate(() => resolve('later')));
}

/** Asks for the next events while these are being published; a failure is met in the next round and is not unhandled until then. */
function ahead(reader: ChangeReader): Pending {
  const next = reader.next();
  next.catch(() => undefined);
  return next;
}

/** The next events, or `quiet` when none came for a while and a watermark or an idle position waits to be told. */
async function withinQuiet<T>(ctx: ServiceContext, pending: Promise<T>, waits: boolean): Promise<T | 'quiet'> {
  if (!waits) return pending;
  const timer = new AbortController();
  try {
    const quiet = ctx.clock.sleep(QUIET_MS, AbortSignal.any([timer.signal, ctx.signal])).then(() => 'quiet' as const);
    const first = await Promise.race([pending, quiet]);
    return first === 'quiet' && ctx.signal.aborted ? pending : first;
  } finally {
    timer.abort();
  }
}

function take({ publisher, progress }: Session, event: SourceEvent): void {
  switch (event.kind) {
    case 'commit':
      progress.commit(event.position, event.acknowledge, event.commitMs);
      return;
    case 'idle':
      progress.idle(event.position);
      return;
    default:
      if (progress.isPublished(event.position)) return; // Published by an earlier session; its acknowledgement was lost.
      publisher.event(event, progress);
  }
}

function publishWatermarks({ publisher, progress }: Session, tables: readonly TableId[]): void {
  const position = progress.idlePosition;
  if (position === undefined) return;
  for (const table of tables) publisher.watermark(table, position, progress);
}

/** Publishes what was gathered, then stores how far that is. Nothing gathered and nothing new: nothing to do. */
async function flush({ ctx, publisher, progress, store }: Session): Promise<void> {
  // Invariant 'publish-then-acknowledge': on the bus, then stored; the caller acknowledges after that.
  if (publisher.bytes > 0) {
    progress.published(await publisher.flush());
    ctx.failpoint('changes-published');
  }
  if (!progress.shouldStore(ctx.clock.monotonicMs())) return;
  await store.store(progress.record);
  progress.stored(ctx.clock.monotonicMs());
  ctx.failpoint('published-stored');
}

function acknowledge({ ctx, progress, reader }: Session & { readonly reader: ChangeReader }): void {
  const position = progress.takeAcknowledgement();
  if (position === undefined) return;
  reader.acknowledge(position);
  ctx.failpoint('acknowledged');
}
