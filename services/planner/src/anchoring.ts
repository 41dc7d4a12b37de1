import type {
  Anchor,
  GenerationId,
  PipelineRecord,
  ServiceContext,
  Sink,
  Source,
  SourceTable,
  Stored,
  TableId,
  TableRecord,
} from '@nanosync/core';
import {
  describeError,
  followsChanges,
  PIPELINE_MACHINE,
  PipelineError,
  ROWS_BUS_PARTITIONS,
  readRecord,
  recordedTables,
  sourceUseOf,
  stateKeys,
  step,
} from '@nanosync/core';
import { requireThere } from './deleting.ts';
import type { LooseAnchors } from './loose-anchors.ts';
import { changedMeanwhile, newAnchor } from './new-anchor.ts';
import { plannedTable } from './planned-table.ts';

/** What a pipeline is anchored with. */
export interface AnchoringParts {
  readonly source: Source;
  readonly sink: Sink;
  readonly loose: LooseAnchors;
}

/**
 * Takes a pipeline from `created` to `anchored`. Order: everything is checked before anything is made; topics; what earlier attempts left goes;
 * publication and slot; then anchor and table records durable in one write. Dying before that write leaves a slot without an anchor, which the
 * next attempt drops, or who follows the stored one. Nothing has been read by then. Another planner may do the same at the same time:
 * each has a slot of its own, and the write decides. Returns the epochs that it chose. A table that came to the definition after an earlier anchor
 * is none of its concern: it is added like any other, so that it cannot keep those from beginning again.
 */
export async function anchorPipeline(
  ctx: ServiceContext,
  stored: Stored<PipelineRecord>,
  { source, sink, loose }: AnchoringParts,
): Promise<readonly string[]> {
  const { definition, request } = stored.value;
  const tables = await checked(ctx, stored.value, source, sink);
  if (request === null) await refuseLeftovers(ctx, definition.name, tables, sink);
  else await discardUnseen(ctx, stored, tables, sink);
  const follows = followsChanges(definition);
  const busPartitions = await createTopics(ctx, definition.name, follows ? tables : []);
  const begun = await dropAttempts(ctx, stored, source);
  const anchor = await newAnchor(ctx, begun, tables, source);
  // Invariant 'anchor-first': anchor and tables are stored in one write, before anything is read.
  const records: TableRecord[] = [];
  for (const table of tables) {
    const replaces = await sink.shows(table.schema.table);
    records.push(
      plannedTable(ctx, { anchor, l0: follows ? anchor.l0 : null, table, busPartitions, adopts: adopts(stored.value), replaces }),
    );
  }
  loose.add(anchor, begun.version);
  if (!(await storeAnchor(ctx, begun, anchor, records))) {
    const now = await readRecord<PipelineRecord>(ctx.state, stored.key);
    if (now === undefined)
      await loose.dropAll(source); // Deleted: it cannot be stored any more.
    else await loose.settle(now, async () => source); // What it leaves open is settled by the next step.
    throw changedMeanwhile(definition.name);
  }
  loose.stored(anchor);
  ctx.failpoint('anchor-stored');
  return records.map(({ epoch }) => epoch);
}

/** Type `cdc` begins with what the sink has, unless a copy was asked for: that is what repairs one. */
function adopts({ definition, request }: PipelineRecord): boolean {
  return definition.replicationType === 'cdc' && request !== 'resnapshot';
}

async function checked(ctx: ServiceContext, pipeline: PipelineRecord, source: Source, sink: Sink): Promise<readonly SourceTable[]> {
  const { definition } = pipeline;
  const ids = recordedTables(pipeline) as readonly TableId[];
  const unfit = await source.check(definition.name, ids, {
    columns: definition.source.columns,
    use: sourceUseOf(definition),
  });
  const tables = unfit.length > 0 ? [] : await source.discover(ids, definition.source.columns);
  const schemas = tables.map(({ schema }) => schema);
  const problems = [...unfit, ...(await sink.check(definition.name, ids, schemas, adopts(pipeline)))];
  if (problems.length > 0) {
    ctx.log.warn('pipeline cannot start', { pipeline: definition.name, problems: problems.length });
    throw new PipelineError('prerequisite', problems.map((problem) => problem.what).join(' '), {
      hint: problems.map((problem) => problem.cure).join(' '),
    });
  }
  return tables;
}

/** A state store that knows nothing while topics or targets exist has lost what it knew: never begin over it unasked. */
async function refuseLeftovers(ctx: ServiceContext, pipeline: string, tables: readonly SourceTable[], sink: Sink): Promise<void> {
  const cure = `Run: nanosync pipeline resnapshot ${pipeline}`;
  for (const { schema } of tables) {
    const topic = await ctx.bus.topic(ctx.topics.changes(pipeline, schema.table));
    // Invariant 'no-silent-gap': a store that forgot the pipeline is not a new pipeline.
    if (topic?.partitions.some((partition) => partition.end > 0))
      throw new PipelineError('gap', `The state store does not know pipeline ${pipeline}, yet topic ${topic.name} has messages of it.`, {
        hint: cure,
      });
    if ((await sink.generations(pipeline, schema.table)).length > 0)
      throw new PipelineError('gap', `The state store does not know pipeline ${pipeline}, yet the sink has table ${schema.table} of it.`, {
        hint: cure,
      });
  }
}

/**
 * What earlier epochs left in staging goes before a new anchor forgets their names; what users see stays until the switch. Another planner may
 * have stored an anchor by now, and what is staged under that must stay: so first all epochs are read, then it is asked whether they are earlier.
 */
async function discardUnseen(
  ctx: ServiceContext,
  stored: Stored<PipelineRecord>,
  tables: readonly SourceTable[],
  sink: Sink,
): Promise<void> {
  const pipeline = stored.value.definition.name;
  const earlier: GenerationId[] = [];
  for (const { schema } of tables) {
    const before = await readRecord<TableRecord>(ctx.state, stateKeys.table(pipeline, schema.table));
    if (before !== undefined) earlier.push({ pipeline, table: schema.table, epoch: before.value.epoch });
  }
  if ((await ctx.state.get(stored.key))?.version !== stored.version) throw changedMeanwhile(pipeline);
  for (const generation of earlier) await sink.discard(generation);
}

/**
 * Drops the pipeline's slots before another is made: there may be no room for one more. They are of the anchor that a resnapshot replaces, or of
 * planners that died before they stored theirs, and one of those may only be late: so once they are listed the record is written anew, as it
 * is, and no attempt that began before can be stored any more. What cannot be dropped is warned of, as the new slot may fit beside it.
 */
async function dropAttempts(ctx: ServiceContext, stored: Stored<PipelineRecord>, source: Source): Promise<Stored<PipelineRecord>> {
  const { name } = stored.value.definition;
  let version: number | undefined = stored.version;
  try {
    // Invariant 'anchor-first': written after listing, so none of these can be stored any more.
    await source.tidy(name, null, async () => {
      version = await ctx.state.put(stored.key, stored.value, stored.version);
      return version !== undefined;
    });
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    ctx.log.warn('earlier slots cannot be dropped', { pipeline: name, err: describeError(error) });
  }
  if (version === undefined) throw changedMeanwhile(name);
  return { ...stored, version };
}

/**
 * Makes the topics that are not there, with a change topic for each of these tables, and returns the number of its bus partitions: pinned when it
 * was made.
 */
export async function createTopics(
  ctx: ServiceContext,
  pipeline: string,
  tables: readonly SourceTable[],
): Promise<ReadonlyMap<TableId, number>> {
  await requireThere(ctx, pipeline);
  await ctx.bus.ensureTopic(ctx.topics.tasks, ctx.tasksBusPartitions);
  await ctx.bus.ensureTopic(ctx.topics.rows(pipeline), ROWS_BUS_PARTITIONS);
  await ctx.bus.ensureTopic(ctx.topics.quarantine(pipeline), 1);
  const busPartitions = new Map<TableId, number>();
  for (const { schema } of tables) {
    const name = ctx.topics.changes(pipeline, schema.table);
    const topic = (await ctx.bus.topic(name)) ?? (await ctx.bus.ensureTopic(name, ctx.changesBusPartitions));
    busPartitions.set(schema.table, topic.partitions.length);
  }
  return busPartitions;
}

async function storeAnchor(
  ctx: ServiceContext,
  stored: Stored<PipelineRecord>,
  anchor: Anchor,
  tables: readonly TableRecord[],
): Promise<boolean> {
  const phase = step(PIPELINE_MACHINE, stored.value.phase, 'anchor');
  const recorded = tables.map(({ table }) => table);
  const intent = { ...stored.value.intent, copyAnew: [] }; // All of them are.
  const { copyStopped: _, ...before } = stored.value; // Of the anchor before.
  const pipeline: PipelineRecord = { ...before, anchor, recorded, phase, intent, request: null, failure: null, waiting: null };
  return putTables(ctx, { key: stored.key, value: pipeline, version: stored.version }, tables);
}

/** Stores a pipeline against the version that was read, and records of its tables, all or nothing; false when another one wrote first. */
export async function putTables(ctx: ServiceContext, pipeline: Stored<PipelineRecord>, tables: readonly TableRecord[]): Promise<boolean> {
  const entries: { key: string; value: unknown; expected: number }[] = [
    { key: pipeline.key, value: pipeline.value, expected: pipeline.version },
  ];
  for (const table of tables) {
    const key = stateKeys.table(pipeline.value.definition.name, table.table);
    const before = await ctx.state.get(key);
    entries.push({ key, value: table, expected: before?.version ?? 0 });
  }
  return ctx.state.putAll(entries);
}
