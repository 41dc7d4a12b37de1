import { createHash } from 'node:crypto';
import type { GenerationId, TableId } from '@nanosync/core';
import { splitTableId } from '@nanosync/core';
import { META } from './sql.ts';

/** What becomes `_` in a table's name. BigQuery would take dashes and spaces too, but few who write SQL by hand want them. */
const NOT_IN_NAMES = /[^\p{L}\p{M}\p{N}_]/gu;
/** Characters of a source's name that a name of ours repeats; the hash behind tells longer ones apart. */
const READABLE = 200;

/** The name under which users see a table: `schema_table`. Two tables can ask for one name; who comes first has it. */
export function viewName(table: TableId): string {
  const { schema, name } = splitTableId(table);
  return `${schema}_${name}`.replace(NOT_IN_NAMES, '_');
}

/** The physical table of a generation: what users see it as, its epoch, and a hash that makes it the only one. */
export function physicalName(id: GenerationId): string {
  return `${plain(viewName(id.table))}__${plain(id.epoch)}_${hashOf(id).slice(0, 8)}`;
}

/** What a table that somebody else made is called once a generation begins with its rows. */
export function asideName(id: GenerationId): string {
  return `${plain(viewName(id.table))}__before_nanosync_${hashOf(id).slice(0, 8)}`;
}

/** The n-th staging table of an epoch's row batches, from 1: each takes only so many load jobs a day. */
export function stagingName(id: GenerationId, number: number): string {
  return `${META}_staging_${hashOf(id)}_${number}`;
}

/** The table that holds a generation's progress: one of its own, because BigQuery aborts transactions that meet in a table. */
export function progressName(id: GenerationId): string {
  return `${META}_progress_${hashOf(id)}`;
}

/** The table that holds the progress of a pipeline's loader. */
export function loaderName(pipeline: string): string {
  return `${META}_loader_${hash(pipeline)}`;
}

/** A staging table of one batch of changes. */
export function changesName(id: GenerationId, unique: string): string {
  return `${META}_changes_${hashOf(id)}_${unique}`;
}

/** Sixteen hexadecimal digits that stand for a generation. */
export function hashOf(id: GenerationId): string {
  return hash(JSON.stringify([id.pipeline, id.table, id.epoch]));
}

/** Sixteen hexadecimal digits that stand for a text. */
export function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Letters that every tool takes; the emulator takes no others. */
function plain(name: string): string {
  return name.replace(/[^A-Za-z0-9_]/gu, '_').slice(0, READABLE);
}
