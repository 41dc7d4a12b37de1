import type { CaptureRecord, ServiceContext, TableRecord } from '@nanosync/core';
import { CONTROL_EVENT, MessageSchemas, PipelineError } from '@nanosync/core';

/** The highest session number among the newest messages of the pipeline's change topics; 0 when they are empty. */
export async function tailSession(ctx: ServiceContext, pipeline: string, tables: readonly TableRecord[]): Promise<number> {
  let highest = 0;
  const schemas = await MessageSchemas.open(ctx.registry, { 'nanosync.control-value': CONTROL_EVENT });
  for (const { table } of tables) {
    const topic = await ctx.bus.topic(ctx.topics.changes(pipeline, table));
    for (const [partition, { start, end }] of (topic?.partitions ?? []).entries()) {
      if (end <= start) continue;
      await using reader = await ctx.bus.reader(ctx.topics.changes(pipeline, table), partition, end - 1);
      const [last] = await reader.read({ maxBytes: 1, waitMs: 5000 });
      if (last === undefined)
        throw new PipelineError('unavailable', `The bus does not hand out the last message of topic ${topic?.name ?? table}.`);
      highest = Math.max(highest, await sessionOf(schemas, last.value));
    }
  }
  return highest;
}

async function sessionOf(schemas: MessageSchemas, value: Uint8Array): Promise<number> {
  const found = (await schemas.read(CONTROL_EVENT, value)) ?? (await schemas.changes(value))?.decode(value);
  if (found === undefined) throw new PipelineError('defect', 'A change topic holds a message that is neither change nor control event.');
  return found.session;
}

/** Throws `gap` when a topic is not the one that was published to, or has lost messages that the bus had acknowledged. */
export async function checkTopics(
  ctx: ServiceContext,
  pipeline: string,
  tables: readonly TableRecord[],
  record: CaptureRecord,
): Promise<void> {
  const hint = `Run: nanosync pipeline resnapshot ${pipeline}`;
  for (const { table, busPartitions } of tables) {
    const name = ctx.topics.changes(pipeline, table);
    const topic = await ctx.bus.topic(name);
    if (topic === undefined) throw new PipelineError('gap', `Topic ${name} is gone.`, { hint });
    const id = record.topics[name];
    // Invariant 'no-silent-gap': what was acknowledged is gone with the topic.
    if (id !== undefined && id !== topic.id)
      throw new PipelineError('gap', `Topic ${name} was created anew since it was published to.`, { hint });
    if (topic.partitions.length !== busPartitions)
      throw new PipelineError('gap', `Topic ${name} has ${topic.partitions.length} partitions instead of ${busPartitions}.`, { hint });
    for (const [partition, stored] of (record.ends[name] ?? []).entries())
      if ((topic.partitions[partition]?.end ?? 0) < stored)
        throw new PipelineError('gap', `Partition ${partition} of topic ${name} has lost its newest messages.`, { hint });
  }
}
