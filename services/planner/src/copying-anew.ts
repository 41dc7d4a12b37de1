import type { OlderEpoch, PipelineRecord, ServiceContext, Source, Stored, TableId, TableRecord } from '@nanosync/core';
import { PipelineError, readRecord, recordedTables, sameSchema, stateKeys, step, TABLE_MACHINE, takesInAlike } from '@nanosync/core';
import { captureOf } from './capture-view.ts';

/** What copies are begun with. */
interface CopyParts {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly source: Source;
  /** Epochs that this planner chose and under which no ranges were stored yet. */
  readonly fresh: Set<string>;
}

/**
 * Begins the copies that users asked for beside the stream: a table goes from the list in the one write that gives it its new epoch, `planned`
 * and without L0. From there it goes the way of any later epoch: marker, fence, ranges. What users see of it goes on until the sink has the new
 * epoch where the older one is. A table of which nothing was read yet is copied anyway, and keeps its epoch if that has the columns of now. One that is
 * read and still below its L1 waits, so that there are never more than two generations of it; so does one that is still to begin with what the
 * sink has, or was stopped. True when one began.
 */
export async function beginCopies(parts: CopyParts): Promise<boolean> {
  let begun = false;
  for (const table of parts.pipeline.intent.copyAnew as readonly TableId[]) {
    const stored = await readRecord<TableRecord>(parts.ctx.state, stateKeys.table(parts.pipeline.definition.name, table));
    const ofThis = stored?.value.anchor === parts.pipeline.anchor?.id ? stored : undefined;
    const isRecorded = recordedTables(parts.pipeline).includes(table);
    if (!isRecorded) await takeFromList(parts, table, []);
    else if (ofThis !== undefined && (await mayBegin(parts, ofThis.value))) begun = (await beginCopy(parts, ofThis)) || begun;
  }
  return begun;
}

/** Once a table is read it may have been switched to already, whatever was told of it: then it is what users see, and the next copy goes beside it. */
async function mayBegin(
  { ctx, pipeline }: CopyParts,
  { table, epoch, phase, l1Requested, adopts, missing }: TableRecord,
): Promise<boolean> {
  if (adopts === true || missing !== undefined) return phase === 'following';
  if (phase !== 'snapshotting') return phase !== 'built';
  const captured = (await captureOf(ctx, pipeline.definition.name, pipeline))?.tables[table];
  return !l1Requested && !(captured?.epoch === epoch && captured.l1 !== null);
}

async function beginCopy(parts: CopyParts, stored: Stored<TableRecord>): Promise<boolean> {
  const { ctx, pipeline } = parts;
  const before = stored.value;
  const next = await nextEpoch(parts, before);
  // What is kept back may be another decision than when the table was planned: then it is not read as it was planned.
  if (before.phase === 'planned' && next.storage === before.storage && sameSchema(next.schema, before.schema)) {
    await takeFromList(parts, before.table, []);
    return false;
  }
  if (!(await takeFromList(parts, before.table, [{ ...stored, value: next }]))) return false;
  parts.fresh.add(next.epoch);
  ctx.log.info('table is copied anew', { pipeline: pipeline.definition.name, table: before.table, epoch: next.epoch });
  ctx.failpoint('copy-begun');
  return true;
}

async function nextEpoch({ ctx, pipeline, source }: CopyParts, before: TableRecord): Promise<TableRecord> {
  const { name } = pipeline.definition;
  const { adopts: _, missing: __, ...kept } = before; // This one is a copy, and a whole one.
  const { table } = before;
  const hint = `Run: nanosync pipeline resnapshot ${name}`;
  const [drift] = await source.drift(name, [before]);
  if (drift !== undefined) throw new PipelineError('table-changed', drift.reason, { hint });
  // Which of the columns are kept back may be another decision than it was.
  const [found] = await source.discover([table], pipeline.definition.source.columns);
  if (found === undefined) throw new PipelineError('table-changed', `Table ${table} is gone.`, { hint });
  return {
    ...kept,
    phase: step(TABLE_MACHINE, before.phase, 'resnapshot'),
    epoch: ctx.ids.next(),
    schema: found.schema,
    storage: found.storage,
    estimatedRows: found.estimatedRows,
    l0: null,
    l1Requested: false,
    partitions: 0,
    voids: 0,
    older: before.phase === 'following' ? await olderEpoch(ctx, pipeline, before) : before.older,
  };
}

async function olderEpoch(ctx: ServiceContext, pipeline: PipelineRecord, record: TableRecord): Promise<OlderEpoch> {
  const { table, epoch, schema, storage, missing, partitions, adopts } = record;
  const captured = (await captureOf(ctx, pipeline.definition.name, pipeline))?.tables[table];
  const quarantinedBefore = captured?.epoch === epoch ? captured.quarantinedBefore : 0;
  if (missing !== undefined) return { epoch, schema, storage, quarantinedBefore, missing, partitions };
  return { epoch, schema, storage, quarantinedBefore, ...(adopts === true ? {} : { based: true }) };
}

/** Takes a table from the list, all or nothing with its record. False when it is not on the list any more. */
async function takeFromList({ ctx, pipeline }: CopyParts, table: TableId, records: readonly Stored<TableRecord>[]): Promise<boolean> {
  const key = stateKeys.pipeline(pipeline.definition.name);
  for (let beatenAt: number | undefined; ; ) {
    const stored = await readRecord<PipelineRecord>(ctx.state, key);
    if (beatenAt !== undefined && beatenAt === stored?.version)
      throw new PipelineError('conflict', `Another planner changed table ${table} meanwhile.`);
    if (stored === undefined || stored.value.anchor?.id !== pipeline.anchor?.id) return false;
    const { intent } = stored.value;
    if (!intent.copyAnew.includes(table)) return false;
    // Asked for again with other columns, while this was being decided: the next round has them.
    if (!takesInAlike(stored.value.definition, pipeline.definition)) return false;
    const value = { ...stored.value, intent: { ...intent, copyAnew: intent.copyAnew.filter((one) => one !== table) } };
    // Invariant 'anchor-first': asked for and chosen in one write, before anything of the epoch is marked or read.
    const tables = records.map((record) => ({ key: record.key, value: record.value, expected: record.version }));
    if (await ctx.state.putAll([{ key, value, expected: stored.version }, ...tables])) return true;
    beatenAt = stored.version;
  }
}
