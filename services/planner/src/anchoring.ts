import type { Anchor, PipelineRecord, ServiceContext, Sink, Source, SourceTable, Stored, TableId, TableRecord } from '@nanosync/core';
import { PIPELINE_MACHINE, PipelineError, RECORD_VERSION, ROWS_BUS_PARTITIONS, stateKeys, step } from '@nanosync/core';

/**
 * Takes a pipeline from `created` to `anchored`. Order (invariant "anchor first"): everything is checked before anything is
 * made; topics; publication and slot; then anchor and table records durable in one write. Dying before that write leaves a slot
 * without an anchor, which the next attempt drops. Nothing has been read by then.
 */
export async function anchorPipeline(ctx: ServiceContext, stored: Stored<PipelineRecord>, source: Source, sink: Sink): Promise<void> {
  const { definition, request } = stored.value;
  const tables = await checked(ctx, stored.value, source, sink);
  if (request === null) await refuseLeftovers(ctx, definition.name, tables, sink);
  await createTopics(ctx, definition.name, tables);
  const anchor = await source.anchor(
    definition.name,
    ctx.ids.next(),
    tables.map((table) => table.schema.table),
  );
  ctx.failpoint('slot-created');
  await storeAnchor(ctx, stored, anchor, tables);
  ctx.failpoint('anchor-stored');
}

async function checked(ctx: ServiceContext, pipeline: PipelineRecord, source: Source, sink: Sink): Promise<readonly SourceTable[]> {
  const { definition } = pipeline;
  const ids = definition.source.tables as readonly TableId[];
  const unfit = await source.check(definition.name, ids);
  const tables = unfit.length > 0 ? [] : await source.discover(ids);
  const schemas = tables.map(({ schema }) => schema);
  const problems = [...unfit, ...(await sink.check(definition.name, ids, schemas))];
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

async function createTopics(ctx: ServiceContext, pipeline: string, tables: readonly SourceTable[]): Promise<void> {
  await ctx.bus.ensureTopic(ctx.topics.tasks, ctx.tasksBusPartitions);
  await ctx.bus.ensureTopic(ctx.topics.rows(pipeline), ROWS_BUS_PARTITIONS);
  await ctx.bus.ensureTopic(ctx.topics.quarantine(pipeline), 1);
  for (const { schema } of tables) await ctx.bus.ensureTopic(ctx.topics.changes(pipeline, schema.table), ctx.changesBusPartitions);
}

async function storeAnchor(
  ctx: ServiceContext,
  stored: Stored<PipelineRecord>,
  anchor: Anchor,
  tables: readonly SourceTable[],
): Promise<void> {
  const { name } = stored.value.definition;
  const phase = step(PIPELINE_MACHINE, stored.value.phase, 'anchor');
  const writes = [
    { key: stored.key, value: { ...stored.value, anchor, phase, request: null, failure: null, waiting: null }, expected: stored.version },
  ];
  const entries: { key: string; value: unknown; expected: number }[] = writes;
  for (const table of tables) {
    const key = stateKeys.table(name, table.schema.table);
    const before = await ctx.state.get(key);
    entries.push({ key, value: firstRecord(ctx, anchor, table), expected: before?.version ?? 0 });
  }
  if (!(await ctx.state.putAll(entries))) throw new PipelineError('conflict', `Another planner changed pipeline ${name} meanwhile.`);
}

function firstRecord(ctx: ServiceContext, anchor: Anchor, table: SourceTable): TableRecord {
  return {
    v: RECORD_VERSION,
    table: table.schema.table,
    phase: 'planned',
    anchor: anchor.id,
    epoch: ctx.ids.next(),
    schema: table.schema,
    storage: table.storage,
    l0: anchor.l0,
    l1Requested: false,
    partitions: 0,
    voids: 0,
    estimatedRows: table.estimatedRows,
    busPartitions: ctx.changesBusPartitions,
    failure: null,
  };
}
