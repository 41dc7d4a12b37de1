import type { PartitionRecord, PipelineRecord, ServiceContext, Sink, Source, Stored, TableId, TableRecord } from '@nanosync/core';
import {
  comparePositions,
  followsChanges,
  isMoving,
  leaseNames,
  leavingTables,
  listRecords,
  PipelineError,
  readRecord,
  stateKeys,
  updateRecord,
} from '@nanosync/core';
import { captureOf } from './capture-view.ts';

/** What tables are taken out with. */
export interface LeavingParts {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly source: () => Promise<Source>;
  readonly sink: () => Promise<Sink>;
}

/**
 * Ends the stay of tables that were taken out, once nobody needs or writes them: the source streams them no more, the sink keeps their rows as they are and
 * forgets the rest, topic and records go, and the pipeline's own mention of them last. Each step changes nothing when it is repeated, so dying
 * anywhere costs a repetition. `quiet` is called before the first step. True when a table went.
 */
export async function letTablesGo(parts: LeavingParts, quiet: () => Promise<void>): Promise<boolean> {
  const { phase, intent } = parts.pipeline;
  // A sink that is paused is not written.
  if (intent.sink === 'paused' || !(isMoving(parts.pipeline) || phase === 'completed')) return false;
  let went = false;
  for (const table of leavingTables(parts.pipeline) as readonly TableId[]) {
    if (!(await isFree(parts, table))) continue;
    await quiet();
    await letGo(parts, table);
    went = true;
  }
  return went;
}

/** True when no session decodes the table ever again, and its writer and readers have let go. */
async function isFree({ ctx, pipeline }: LeavingParts, table: TableId): Promise<boolean> {
  const { name } = pipeline.definition;
  const record = (await readRecord<TableRecord>(ctx.state, stateKeys.table(name, table)))?.value;
  if (followsChanges(pipeline.definition) && record !== undefined && record.anchor === pipeline.anchor?.id) {
    const capture = await captureOf(ctx, name, pipeline);
    const end = capture?.left?.[table];
    // Invariant 'gapless-sessions': no session begins below the table's end any more.
    if (capture === undefined || end === undefined || comparePositions(end, capture.acknowledged) > 0) return false;
    if (capture.tables[table] !== undefined) return false; // The session that had it has not ended.
  }
  if (await ctx.state.isLeased(leaseNames.table(name, table))) return false;
  for (const { key, value } of await listRecords<PartitionRecord>(ctx.state, stateKeys.partitionsOfTable(name, table)))
    if (value.phase === 'reading' && (await ctx.state.isLeased(leaseNames.partition(key)))) return false;
  return true;
}

async function letGo({ ctx, pipeline, source, sink }: LeavingParts, table: TableId): Promise<void> {
  const { name } = pipeline.definition;
  const stored = await readRecord<TableRecord>(ctx.state, stateKeys.table(name, table));
  const still = () => isStillLeaving(ctx, pipeline, table, stored);
  const require = async () => {
    if (!(await still())) throw new PipelineError('conflict', `Another planner let ${table} of pipeline ${name} go.`);
  };
  if (followsChanges(pipeline.definition)) await (await source()).withdraw(name, [table], still);
  ctx.failpoint('table-withdrawn');
  await require();
  await (await sink()).release(name, table, { dropTables: false });
  ctx.failpoint('table-released');
  await require();
  await ctx.bus.deleteTopic(ctx.topics.changes(name, table));
  // Those that were there before the table was seen to be the same still, by their versions: what comes later is of another stay.
  const report = await ctx.state.get(stateKeys.sinkReport(name, table));
  const records = [...(await ctx.state.list(stateKeys.partitionsOfTable(name, table))), ...(report === undefined ? [] : [report])];
  await require();
  for (const { key, version } of records) await ctx.state.remove(key, version);
  if (stored !== undefined) await ctx.state.remove(stored.key, stored.version);
  ctx.failpoint('table-records-removed');
  await require();
  await updateRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(name), (record) => {
    if (record.anchor?.id !== pipeline.anchor?.id) return undefined; // Then the table's record is of an earlier anchor, and the next round does it.
    const leaving = leavingTables(record).filter((one) => one !== table);
    return leaving.length === leavingTables(record).length ? undefined : { ...record, leaving };
  });
  ctx.log.info('table taken out', { pipeline: name, table });
}

/** Between two steps another planner may have let the table go, and it may have come again: what it is then is another stay. */
async function isStillLeaving(
  ctx: ServiceContext,
  pipeline: PipelineRecord,
  table: TableId,
  stored: Stored<TableRecord> | undefined,
): Promise<boolean> {
  const { name } = pipeline.definition;
  const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(name)))?.value;
  if (now === undefined || now.anchor?.id !== pipeline.anchor?.id || !leavingTables(now).includes(table)) return false;
  const record = await ctx.state.get(stateKeys.table(name, table));
  return record === undefined || record.version === stored?.version;
}
