import type { PipelineRecord, Sink, Source, TableId, TableRecord } from '@nanosync/core';
import { followsChanges, PipelineError, sameSchema } from '@nanosync/core';
import type { ComparedTable } from './ports.ts';

/** What is looked at before a table is compared. */
export interface Candidate {
  readonly record: PipelineRecord;
  readonly table: string;
  readonly stored: TableRecord | undefined;
  readonly source: Pick<Source, 'discover' | 'drift'>;
  readonly sink: Pick<Sink, 'generations' | 'generation'>;
}

/** The table as it can be compared now. Throws PipelineError with the sentence why it cannot. */
export async function comparable({
  record,
  table,
  stored,
  source,
  sink,
}: Candidate): Promise<{ readonly compared: ComparedTable; readonly quarantined: number }> {
  const { name } = record.definition;
  const wait = `Compare it when nanosync status ${name} shows it as live.`;
  if (stored === undefined || stored.anchor !== record.anchor?.id)
    throw new PipelineError('prerequisite', `Table ${table} is not copied yet.`, { hint: wait });
  const current = (await sink.generations(name, table as TableId)).find((one) => one.current);
  if (current === undefined) throw new PipelineError('prerequisite', `Table ${table} is still being copied.`, { hint: wait });
  if (current.epoch !== stored.epoch)
    throw new PipelineError('prerequisite', `Table ${table} is being copied anew, and users see what was copied before.`, { hint: wait });
  const generation = { pipeline: name, table: stored.table, epoch: stored.epoch };
  const status = await sink.generation(generation);
  if (status === undefined) throw new PipelineError('conflict', `Table ${table} was copied anew just now.`, { hint: 'Compare it again.' });
  const planned = { schema: stored.schema, storage: stored.storage };
  if (followsChanges(record.definition)) {
    const [drift] = await source.drift(name, [planned]);
    if (drift !== undefined) throw changed(name, table, drift.reason);
  }
  const [found] = await source.discover([table], record.definition.source.columns);
  if (found === undefined || !sameSchema(found.schema, stored.schema))
    throw changed(name, table, 'its columns or key are no longer those that were copied.');
  const estimatedRows = Math.max(found.estimatedRows, status.rowsBuilt, 0);
  return {
    // The storage of today: a table that was rewritten since it was copied has the same rows in another file.
    compared: { pipeline: name, schema: stored.schema, storage: found.storage, estimatedRows, generation },
    quarantined: status.quarantined,
  };
}

function changed(pipeline: string, table: string, reason: string): PipelineError {
  return new PipelineError('table-changed', `Table ${table} cannot be compared: ${reason}`, {
    hint: `Run: nanosync pipeline resnapshot ${pipeline} --table ${table}`,
  });
}
