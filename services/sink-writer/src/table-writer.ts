import type { GenerationId, PipelineRecord, ServiceContext, Sink, TableId, TableRecord } from '@nanosync/core';
import {
  countPartitions,
  followsChanges,
  isGivenUp,
  leaseNames,
  measured,
  otherPartitions,
  PipelineError,
  readRecord,
  stateKeys,
  withLease,
} from '@nanosync/core';
import type { OlderApplier } from './change-applier.ts';
import { ChangeApplier } from './change-applier.ts';
import type { GenerationStart } from './generation-start.ts';
import { findGenerationStart } from './generation-start.ts';
import { besideOlder } from './older-generation.ts';
import type { TableReport } from './table-report.ts';

/** How often the gate is looked at while a table is being staged, in milliseconds, where the sink does not say it. */
const GATE_EVERY_MS = 100;
/** How often it is looked whether a table that is copied is to be copied anew, in milliseconds. */
const LOOK_EVERY_MS = 250;

/** What a table's writer works on. */
export interface TableWork {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly sink: Sink;
  readonly table: string;
  readonly report: TableReport;
  /** The table is this process's share of the work. */
  readonly wanted: () => boolean;
}

/**
 * Owns one table at the sink: waits until every partition of its epoch is complete there (the gate), builds the generation once,
 * and then applies the changes that waited on the bus and those that follow, until the signal aborts or the table is no longer
 * wanted here. A new epoch of the table starts it again. What users see of an earlier epoch of the same anchor gets its changes beside all of
 * that, until the new one takes its place.
 */
export async function runTableWriter(work: TableWork): Promise<void> {
  const { ctx, pipeline } = work;
  const write = async (token: string, signal: AbortSignal) => {
    const owned = { ...work, ctx: { ...ctx, signal } };
    while (!signal.aborted) await writeEpoch(owned, work.table as TableId, token);
  };
  await withLease(ctx, leaseNames.table(pipeline.definition.name, work.table), write, work.wanted);
}

async function writeEpoch(work: TableWork, table: TableId, token: string): Promise<void> {
  const { ctx, pipeline, sink, report } = work;
  const built = await sink.generations(pipeline.definition.name, table);
  const record = await tableRecord(work, table);
  if (record === undefined || record.anchor !== pipeline.anchor?.id) {
    await ctx.clock.sleep(GATE_EVERY_MS, ctx.signal);
    return;
  }
  const generation: GenerationId = { pipeline: pipeline.definition.name, table, epoch: record.epoch };
  // Invariant 'gate': the sink says what users see, and a generation of this anchor goes on until another one has its name.
  // One that was only copied has no stream to go on with.
  const goesOn = followsChanges(pipeline.definition);
  const shown = built.find(({ epoch, anchor, current }) => goesOn && current && epoch !== record.epoch && anchor === record.anchor);
  await report.begin(record.epoch, shown?.epoch ?? null);
  await discardOlder(work, built, generation);
  if (shown === undefined) await writeWanted(work, generation, token);
  else
    await besideOlder(work, { ...generation, epoch: shown.epoch }, token, (inner, older) => writeWanted(inner, generation, token, older));
}

/** Builds the generation if it is not built yet, and applies its changes. */
async function writeWanted(work: TableWork, generation: GenerationId, token: string, older?: OlderApplier): Promise<void> {
  if ((await work.sink.generation(generation)) === undefined && !(await buildWhenComplete(work, generation))) return;
  if (!followsChanges(work.pipeline.definition)) return await showCopy(work, generation);
  const applier = await ChangeApplier.open({ ...work, generation, token, older, isWanted: true });
  await applier.run();
}

/**
 * Drops epochs that were staged or built and given up before users saw them. Which exist was asked before the epoch was read: a writer that was
 * stopped in between must not take a newer generation for an older one. What users see stays until the switch.
 */
async function discardOlder({ sink }: TableWork, built: Awaited<ReturnType<Sink['generations']>>, wanted: GenerationId): Promise<void> {
  for (const { epoch, current } of built) if (epoch !== wanted.epoch && !current) await sink.discard({ ...wanted, epoch });
}

/** Waits at the gate, then builds. False when the epoch was given up or the signal aborted first. */
async function buildWhenComplete(work: TableWork, generation: GenerationId): Promise<boolean> {
  const { ctx, sink, report } = work;
  for (;;) {
    if (ctx.signal.aborted) return false;
    const held = await sink.generations(generation.pipeline, generation.table);
    const record = await tableRecord(work, generation.table);
    if (record?.epoch !== generation.epoch) {
      await sink.discard(generation);
      return false;
    }
    if (record.adopts === true) return await adopt(work, generation, record);
    if (record.partitions > 0 || record.missing !== undefined) {
      const wanted = otherPartitions(record.missing ?? [], record.partitions);
      const staged = (await sink.staged(generation)).filter(({ partition }) => wanted.includes(partition));
      const rowsStaged = staged.reduce((sum, { rows }) => sum + rows, 0);
      const quarantined = staged.reduce((sum, partition) => sum + partition.quarantined, 0);
      await report.set({ rowsStaged, quarantined, partitionsDurable: staged.length });
      // Invariant 'gate': it opens when every partition is complete at the sink, and only here.
      if (staged.length === wanted.length && isSettled(record)) {
        await discardOlder(work, held, generation);
        return await build(work, generation, record, quarantined).catch((error: unknown) => refused(work, generation, record, error));
      }
    }
    await ctx.clock.sleep(sink.pace?.lookEveryMs ?? GATE_EVERY_MS, ctx.signal);
  }
}

/** False while more may be read of a table whose copy was stopped, or the state store may still lose that it was. */
function isSettled({ missing, l1Requested }: TableRecord): boolean {
  return missing === undefined || l1Requested;
}

/** Begins with the rows that the sink has. False when the signal aborted, or the epoch was given up, before its place in the stream is known. */
async function adopt({ ctx, pipeline, sink, report }: TableWork, generation: GenerationId, { schema }: TableRecord): Promise<boolean> {
  const start = await findGenerationStart(ctx, ctx.topics.changes(generation.pipeline, generation.table), generation);
  if (start === undefined) return false;
  const { l0, topicId, partitions } = start;
  const { rows } = await sink.adopt({ generation, anchor: pipeline.anchor?.id ?? '', schema, l0, topicId, start: partitions });
  ctx.failpoint('generation-built');
  await report.set({ built: true, rowsBuilt: rows, rowsStaged: 0, partitionsDurable: 0 }, true);
  ctx.log.info('table adopted', { table: generation.table, rows });
  return true;
}

/** Nothing follows a copy: users see it at once, and only then is it called built. Then waits until the table gets another epoch. */
async function showCopy(work: TableWork, generation: GenerationId): Promise<void> {
  const { ctx, sink, report } = work;
  await sink.switchTo(generation);
  const status = await sink.generation(generation);
  await report.set({ built: true, current: true, rowsBuilt: status?.rowsBuilt ?? 0, quarantined: status?.quarantined ?? 0 }, true);
  while (!ctx.signal.aborted && (await tableRecord(work, generation.table))?.epoch === generation.epoch) {
    await ctx.clock.sleep(LOOK_EVERY_MS, ctx.signal);
    await report.flush();
  }
}

/**
 * A copy that was stopped before anything was read has nothing that could be missed at the sink: so here it is found that the epoch was given up, and the
 * state store has lost that.
 */
async function refused(work: TableWork, generation: GenerationId, { missing }: TableRecord, error: unknown): Promise<never> {
  const isGone = missing !== undefined && isGivenUp(error, generation);
  if (!isGone || (await tableRecord(work, generation.table))?.epoch !== generation.epoch) throw error;
  const hint = `Run: nanosync pipeline resnapshot ${generation.pipeline}`;
  throw new PipelineError('gap', `The state store has lost that an epoch of ${generation.table} was given up.`, { hint });
}

/** Builds the generation, once its place in the stream is known. False when the signal aborted, or the epoch was given up, before that. */
async function build(
  { ctx, pipeline, sink, report }: TableWork,
  generation: GenerationId,
  record: TableRecord,
  quarantined: number,
): Promise<boolean> {
  const topic = ctx.topics.changes(generation.pipeline, generation.table);
  const follows = followsChanges(pipeline.definition);
  const start = follows ? await findGenerationStart(ctx, topic, generation) : startOfCopy(record);
  if (start === undefined) return false;
  const request = {
    generation,
    anchor: pipeline.anchor?.id ?? '',
    schema: record.schema,
    partitions: record.partitions,
    without: record.missing,
    l0: start.l0,
    topicId: start.topicId,
    start: start.partitions,
  };
  const step = { step: 'build', pipeline: generation.pipeline } as const;
  const { rows } = await measured(ctx, step, () => sink.build(request));
  ctx.failpoint('generation-built');
  if (!follows) {
    ctx.log.info('copied', { table: generation.table, rows });
    return true;
  }
  const info = await ctx.bus.topic(topic);
  const waiting = start.partitions.reduce((sum, { next }, partition) => sum + (info?.partitions[partition]?.end ?? next) - next, 0);
  const partitionsDurable = record.partitions - countPartitions(record.missing ?? []);
  const without = record.missing === undefined ? {} : { without: record.missing };
  await report.set(
    { built: true, rowsBuilt: rows, rowsStaged: rows, partitionsDurable, waitedAtHandoff: waiting, waiting, ...without },
    true,
  );
  if (quarantined > 0) ctx.log.warn('table built without its quarantined rows', { table: generation.table, rows: quarantined });
  ctx.log.info('handoff', { table: generation.table, rows, waiting_changes: waiting });
  return true;
}

/** A copy has no change topic: its rows stand at the view that they were read in, and no progress is kept. */
function startOfCopy({ table, l0 }: TableRecord): GenerationStart {
  if (l0 === null) throw new PipelineError('defect', `The copy of ${table} has no position.`);
  return { l0, topicId: '', partitions: [] };
}

async function tableRecord({ ctx, pipeline }: TableWork, table: TableId): Promise<TableRecord | undefined> {
  const record = (await readRecord<TableRecord>(ctx.state, stateKeys.table(pipeline.definition.name, table)))?.value;
  if (record !== undefined && record.table !== table) throw new PipelineError('defect', `The record of ${table} is of ${record.table}.`);
  return record;
}
