import type { PipelineRecord, ServiceContext, SinkReport, Source, Stored, TableRecord } from '@nanosync/core';
import {
  countPartitions,
  otherPartitions,
  PipelineError,
  partitionRuns,
  stateKeys,
  step,
  TABLE_MACHINE,
  updateRecord,
} from '@nanosync/core';
import { Ledger } from './ledger.ts';
import { isPastLoss, renewEpoch, voidPlan } from './ranges.ts';
import { tableRecords } from './table-records.ts';

/** What copies are stopped with. */
export interface StoppingParts {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly source: Source;
  readonly fresh: Set<string>;
  readonly waiting: (text: string | null) => Promise<void>;
}

/**
 * Stops the first copies of a pipeline's tables where they are, as was asked for: each table that is not read to its end says from here on which partitions
 * are missing in it, under its epoch and L0. Its generation is built from the others, and every change from L0 on follows. What is read to its end stays as
 * it is; so does a table that is copied anew beside what users see, of which nothing is missing meanwhile. Each table is one compare-and-set, and the
 * request goes last: dying anywhere, and a second planner at the same time, cost a repetition.
 */
export async function stopCopies(parts: StoppingParts): Promise<void> {
  const { ctx, pipeline } = parts;
  const { name } = pipeline.definition;
  const tables = (await tableRecords(ctx, pipeline)).filter(({ value }) => isFirstCopy(value));
  const planned = tables.filter(({ value }) => value.phase === 'planned');
  let isDone = true;
  for (const stored of tables) if (!planned.includes(stored)) isDone = (await stopReading(parts, stored)) && isDone;
  if (!(await leaveUnread(parts, planned)) || !isDone) return;
  await updateRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(name), (record) => {
    const { copyStopped, ...rest } = record;
    return copyStopped === undefined || record.anchor?.id !== pipeline.anchor?.id ? undefined : rest;
  });
}

/** It is being copied, to its end, and users see no generation of the same stream meanwhile. */
function isFirstCopy({ phase, adopts, older, missing, l1Requested }: TableRecord): boolean {
  return (phase === 'planned' || phase === 'snapshotting') && adopts !== true && older === null && missing === undefined && !l1Requested;
}

/** Tables without ranges: no row of them is copied. False when the signal aborted first. */
async function leaveUnread(parts: StoppingParts, planned: readonly Stored<TableRecord>[]): Promise<boolean> {
  const { ctx, pipeline, source } = parts;
  const { name } = pipeline.definition;
  const tables: Stored<TableRecord>[] = [];
  // An epoch of another planner may have been read, or given up at the sink, and the store may have lost that.
  for (const stored of planned) tables.push(await renewEpoch(parts, stored));
  if (!(await isPastLoss({ ...parts, tables }))) return false;
  for (const stored of tables) {
    const { table, phase, epoch, l0 } = stored.value;
    // Invariant 'anchor-first': its place in the stream, before it is waited for. A second marker of an epoch means nothing.
    if (l0 === null) await source.mark({ kind: 'generation', pipeline: name, table, epoch });
    await put(ctx, stored, { phase: step(TABLE_MACHINE, phase, 'ranges'), partitions: 0, missing: [] });
    parts.fresh.delete(epoch);
  }
  return true;
}

/** True unless the table is another one than before, to be looked at again. */
async function stopReading(parts: StoppingParts, stored: Stored<TableRecord>): Promise<boolean> {
  const { ctx, pipeline } = parts;
  const ledger = await Ledger.load(ctx, pipeline.definition.name, stored.value);
  const voided = ledger.voided();
  if (voided !== undefined) {
    await voidPlan({ ...parts, stored, reason: voided });
    return false;
  }
  if (!ledger.allRead) await put(ctx, stored, { missing: partitionRuns(ledger.unread()) });
  return true;
}

async function put(ctx: ServiceContext, stored: Stored<TableRecord>, change: Partial<TableRecord>): Promise<void> {
  const value = { ...stored.value, ...change };
  if ((await ctx.state.put(stored.key, value, stored.version)) === undefined)
    throw new PipelineError('conflict', `Another planner changed table ${value.table} meanwhile.`);
  const { table, partitions, missing = [] } = value;
  ctx.log.warn('copy stopped', { table, missing_partitions: `${countPartitions(missing)}/${partitions}` });
  ctx.failpoint('copy-stopped');
}

/**
 * The record of a table that is built, with what is missing in it as the sink says it: a copy that was complete after all, just when it was stopped, may have
 * been built whole.
 */
export function asBuilt(pipeline: string, { missing, ...record }: TableRecord, { without }: SinkReport): TableRecord {
  // Invariant 'no-silent-gap': a store that lost that the copy was stopped must not take it for one that is whole.
  if (without !== undefined && missing === undefined)
    throw new PipelineError(
      'gap',
      `${record.table} was built while its copy was stopped, and the state store has lost which rows are missing.`,
      {
        hint: `Run: nanosync pipeline resnapshot ${pipeline}`,
      },
    );
  return without === undefined ? record : { ...record, missing: without };
}

/** When a planner first saw what is missing in a table, by the version of its record. */
type Seen = Map<string, { readonly version: number; readonly ms: number }>;

/**
 * Lets tables whose copies were stopped be built, a step a call: L1 is asked for, and what is missing settled with it, once the state store can not lose it any
 * more. Until then capture takes the table for one below L1, and the sink-writer waits.
 */
export class StoppedTables {
  private readonly seen: Seen = new Map();

  /** The record to be stored once L1 is asked for; undefined when it is not time yet. */
  async settled(ctx: ServiceContext, pipeline: string, stored: Stored<TableRecord>): Promise<TableRecord | undefined> {
    const { epoch, table, partitions, missing } = stored.value;
    const nowMs = ctx.clock.monotonicMs();
    const known = this.seen.get(epoch);
    const since = known?.version === stored.version ? known : { version: stored.version, ms: nowMs };
    this.seen.set(epoch, since);
    if (missing === undefined || nowMs - since.ms < (ctx.state.mayLoseMs ?? 0)) return undefined;
    if (partitions === 0) return stored.value;
    const ledger = await Ledger.load(ctx, pipeline, stored.value);
    const gone = otherPartitions(missing, partitions).filter((partition) => ledger.unread().includes(partition));
    // Invariant 'no-silent-gap': nobody reads them any more.
    if (gone.length > 0)
      throw new PipelineError('gap', `The state store has lost that ${gone.length} partitions of ${table} were read.`, {
        hint: `Run: nanosync pipeline resnapshot ${pipeline}`,
      });
    const { missing: _, ...whole } = stored.value;
    // What was under way when it was stopped may have been read to its end.
    return ledger.allRead ? whole : { ...whole, missing: partitionRuns(ledger.unread()) };
  }
}
