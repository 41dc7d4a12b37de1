import { instantText } from '@nanosync/api';

/** Any value of JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** A decoded record: names and values in the order of its schema. */
export type JsonRecord = { readonly [name: string]: Json };

/** Which of a pipeline's topics a message is on. */
export type TopicKind = 'rows' | 'changes' | 'tasks' | 'quarantine';

/** What an entry shows. */
export type EntryKind = 'row' | 'end' | 'change' | 'control' | 'task' | 'quarantined' | 'undecodable';

/** Where a message was found. */
export interface EntryPlace {
  readonly topic: string;
  readonly busPartition: number;
  readonly offset: number;
  readonly timestampMs: number;
}

/** One line of `tap`: a message, or one row of a row batch. */
export interface TapEntry extends EntryPlace {
  readonly kind: EntryKind;
  /** The table it concerns, where it says so. */
  readonly table: string | null;
  /** Its own fields, as they are printed. */
  readonly fields: JsonRecord;
}

/** What `--json` prints for an entry. */
export function entryJson({ kind, topic, busPartition, offset, timestampMs, fields }: TapEntry): string {
  const timestamp = instantText(timestampMs);
  return JSON.stringify({ kind, topic, bus_partition: busPartition, offset, timestamp, ...fields });
}
