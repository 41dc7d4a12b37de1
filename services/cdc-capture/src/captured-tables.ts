import type { Anchor, CaptureRecord, PipelineRecord, ServiceContext, SourceEvent, TableId, TableRecord } from '@nanosync/core';
import { leavingTables, listRecords, PipelineError, readRecord, recordedTables, sameSchema, stateKeys } from '@nanosync/core';

/**
 * The tables that a session decodes: those that are recorded under its anchor, and those that are being taken out, as long as they have a record. One
 * that is still to be added has none; one that is recorded and has it no more is a gap.
 */
export async function tablesOf(ctx: ServiceContext, pipeline: PipelineRecord, anchor: Anchor): Promise<readonly TableRecord[]> {
  const { name } = pipeline.definition;
  const records = (await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))).map(({ value }) => value);
  const wanted = recordedTables(pipeline);
  const decoded = new Set([...wanted, ...leavingTables(pipeline)]);
  const tables = records.filter((record) => record.anchor === anchor.id && decoded.has(record.table));
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
 * The tables with the columns and storage that the stream has where a session begins: those of the older epoch up to the generation marker of
 * the newer one. `next` are epochs whose marker an earlier session of this process met: they begin next. Where an epoch in between has begun, which was given
 * up since, what it kept back is not shown again: from there on the table has the newest columns.
 */
export function asBegun(
  tables: readonly TableRecord[],
  captured: CaptureRecord['tables'],
  next: ReadonlySet<string>,
): readonly TableRecord[] {
  return tables.map((record) => {
    const { older, epoch, table } = record;
    const begun = captured[table]?.epoch;
    if (older === null || next.has(epoch) || (begun !== undefined && begun !== older.epoch)) return record;
    return { ...record, schema: older.schema, storage: older.storage };
  });
}

/** What a session is asked about a marker with. */
interface Following {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly tables: readonly TableRecord[];
  /** Epochs that the next session begins. */
  readonly next: Set<string>;
  /** The tables whose images this session completes for good. */
  readonly completed: ReadonlySet<TableId>;
}

/**
 * True for the generation marker of a table that was added after the session began, or of an epoch that is to be decoded otherwise than the session
 * does, and for the L1 marker of a table whose copy was stopped since then: from there on its images would be left as they come. A marker is written after the table's record was stored: one that has no record now belongs to an addition that the state store has lost,
 * and the next one writes its own; one of another epoch than the record's was given up.
 */
export async function isUnknown({ ctx, pipeline, tables, next, completed }: Following, event: SourceEvent): Promise<boolean> {
  if (event.kind !== 'marker' || event.marker.kind === 'watermark') return false;
  const { marker } = event;
  const { name } = pipeline.definition;
  if (marker.kind === 'consistency') {
    if (completed.has(marker.table)) return false;
    const stored = (await readRecord<TableRecord>(ctx.state, stateKeys.table(name, marker.table)))?.value;
    // Invariant 'complete-images': stored before the marker was written.
    return stored?.epoch === marker.epoch && stored.anchor === pipeline.anchor?.id && stored.missing !== undefined;
  }
  const followed = tables.find(({ table }) => table === marker.table);
  if (followed === undefined) {
    const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(name)))?.value;
    return now !== undefined && now.anchor?.id === pipeline.anchor?.id && recordedTables(now).includes(marker.table);
  }
  const stored = (await readRecord<TableRecord>(ctx.state, stateKeys.table(name, marker.table)))?.value;
  if (stored?.epoch !== marker.epoch || stored.anchor !== pipeline.anchor?.id) return false;
  if (stored.storage === followed.storage && sameSchema(stored.schema, followed.schema)) return false;
  next.add(marker.epoch);
  return true;
}
