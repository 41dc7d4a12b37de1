import type { Anchor, PipelineRecord, ServiceContext, Source, SourceTable, Stored } from '@nanosync/core';
import { followsChanges, PipelineError } from '@nanosync/core';

/** An anchor that is stored nowhere yet: with a slot of its own, or only the name of one life where nothing is followed. */
export async function newAnchor(
  ctx: ServiceContext,
  begun: Stored<PipelineRecord>,
  tables: readonly SourceTable[],
  source: Source,
): Promise<Anchor> {
  const { definition } = begun.value;
  return followsChanges(definition) ? slotAnchor(ctx, definition.name, tables, source) : slotlessAnchor(ctx, begun, tables, source);
}

async function slotAnchor(ctx: ServiceContext, pipeline: string, tables: readonly SourceTable[], source: Source): Promise<Anchor> {
  const ids = tables.map(({ schema }) => schema.table);
  const anchor = await source.anchor(pipeline, ctx.ids.next(), ids);
  ctx.failpoint('slot-created');
  return anchor;
}

/**
 * The anchor of a pipeline that follows nothing. What an earlier type left at the source and on the bus goes, as long as the
 * record is the one that this planner goes by: stopped meanwhile it may find a pipeline of another type, that lives by these.
 */
async function slotlessAnchor(
  ctx: ServiceContext,
  { key, value, version }: Stored<PipelineRecord>,
  tables: readonly SourceTable[],
  source: Source,
): Promise<Anchor> {
  const { name } = value.definition;
  // Invariant 'one-owner': a planner that is late takes away nothing that another one has made.
  const still = async () => (await ctx.state.get(key))?.version === version;
  await source.release(name, still);
  for (const { schema } of tables) {
    const topic = ctx.topics.changes(name, schema.table);
    if ((await ctx.bus.topic(topic)) === undefined) continue;
    if (!(await still())) throw changedMeanwhile(name);
    await ctx.bus.deleteTopic(topic);
  }
  return { id: ctx.ids.next(), l0: await source.end(), origin: {} };
}

/** The error of a planner that finds the record at another version than it went by. */
export function changedMeanwhile(pipeline: string): PipelineError {
  return new PipelineError('conflict', `Another planner changed pipeline ${pipeline} meanwhile.`);
}
