import { storedPipelines } from '@nanosync/api';
import type { PipelineRecord } from '@nanosync/core';
import { afterCommand, PipelineError, stateKeys, updateRecord } from '@nanosync/core';
import { nearest } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { answering, existingPlace } from '../place.ts';
import type { CommonOptions } from './common.ts';

/** What a resnapshot is asked with. */
export interface ResnapshotOptions extends CommonOptions {
  readonly table?: string;
}

/** Asks the planner to copy a pipeline's tables anew, or one of them: beside the running stream where there is one. */
export async function resnapshot(context: CliContext, name: string, options: ResnapshotOptions): Promise<number> {
  await using state = await answering(context.adapters.openState(existingPlace(context, options)));
  let table: string | null = null;
  let asked: PipelineRecord | undefined;
  const stored = await updateRecord<PipelineRecord>(state, stateKeys.pipeline(name), (record) => {
    table = options.table === undefined ? null : fullName(record.definition.source.tables, options.table);
    asked = afterCommand(record, { kind: 'resnapshot', table });
    return asked;
  });
  if (stored === undefined) throw unknownPipeline(name, await storedPipelines(state));
  context.out(`${name}: ${asked === undefined ? 'a resnapshot is already asked for' : whatFollows(asked, table)}`);
  return EXIT_OK;
}

/** The table that is meant: its schema may be left out. */
function fullName(tables: readonly string[], written: string): string {
  return tables.find((table) => table === written) ?? tables.find((table) => table.endsWith(`.${written}`)) ?? written;
}

function whatFollows(asked: PipelineRecord, table: string | null): string {
  if (asked.request !== null) return 'resnapshot asked for; the running server begins it, or the next start';
  const what = table === null ? 'every table' : table;
  return `${what} will be copied anew beside the running stream, by the running server or the next start; what users see goes on until the copy takes its place`;
}

/** The error about a pipeline name that is not stored. */
export function unknownPipeline(name: string, stored: readonly PipelineRecord[]): PipelineError {
  const known = stored.map((record) => record.definition.name);
  const near = nearest(name, known);
  const hint = near !== undefined ? `Did you mean ${near}?` : known.length === 0 ? 'There is none yet.' : `Known are ${known.join(', ')}.`;
  return new PipelineError('config', `there is no pipeline ${JSON.stringify(name)}.`, { hint });
}
