import type { Anchor, PipelineRecord, ServiceContext, SourceEvent, TableRecord } from '@nanosync/core';
import { listRecords, PipelineError, readRecord, recordedTables, stateKeys } from '@nanosync/core';
import type { EventPublisher } from './event-publisher.ts';

/**
 * The tables that a session follows: those of the definition that have a record under its anchor. One that is still to be added has none; one
 * that had one and has it no more is a gap.
 */
export async function tablesOf(ctx: ServiceContext, pipeline: PipelineRecord, anchor: Anchor): Promise<readonly TableRecord[]> {
  const { name, source } = pipeline.definition;
  const records = (await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))).map(({ value }) => value);
  const tables = records.filter((record) => record.anchor === anchor.id && source.tables.includes(record.table));
  const wanted = recordedTables(pipeline);
  const found = wanted.filter((table) => tables.some((record) => record.table === table));
  if (found.length === wanted.length) return tables;
  // A store that lost its newest writes between the two looks has lost the addition of a table as a whole.
  const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(name)))?.value;
  if (now === undefined || now.anchor?.id !== anchor.id || recordedTables(now).join() !== wanted.join())
    throw new PipelineError('conflict', `Pipeline ${name} was changed while its capture began.`);
  throw new PipelineError('gap', `The state store has ${found.length} of ${wanted.length} tables of ${name}.`, {
    hint: `Run: nanosync pipeline resnapshot ${name}`,
  });
}

/**
 * True for the generation marker of a table that was added after the session began. A marker is written after the table's record was stored: one
 * that has no record now belongs to an addition that the state store has lost, and the next one writes its own.
 */
export async function isOfNewTable(
  { ctx, pipeline, publisher }: { readonly ctx: ServiceContext; readonly pipeline: PipelineRecord; readonly publisher: EventPublisher },
  event: SourceEvent,
): Promise<boolean> {
  if (event.kind !== 'marker' || event.marker.kind !== 'generation' || publisher.hasTable(event.marker.table)) return false;
  const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline.definition.name)))?.value;
  return now !== undefined && now.anchor?.id === pipeline.anchor?.id && recordedTables(now).includes(event.marker.table);
}
