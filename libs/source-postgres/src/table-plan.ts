import type { Cell, TableId, TableSchema } from '@nanosync/core';
import { ChangeCodec, keyIndexes, UNCHANGED } from '@nanosync/core';
import type { CellParser } from './cell-text.ts';
import { cellParser } from './cell-text.ts';
import { CellTextError } from './cell-text-error.ts';
import { keepsBack, requireSameKey, sentColumns } from './column-rules.ts';
import type { Hasher } from './hasher.ts';
import type { Relation } from './pgoutput.ts';
import { TUPLE_NULL, TUPLE_TEXT, TUPLE_UNCHANGED, uint16At, uint32At } from './pgoutput.ts';
import type { StoredColumn, TableStorage } from './storage.ts';
import { parseStorage } from './storage.ts';

/** A table of the change stream: what it was planned as, and what is needed to decode its rows. */
export interface TablePlan {
  readonly table: TableId;
  readonly schema: TableSchema;
  readonly storage: TableStorage;
  /** The columns that are sent, in the schema's order, and how to read a cell of each. */
  readonly columns: readonly StoredColumn[];
  readonly parsers: readonly CellParser[];
  /** Places of the key columns among the columns, in key order. */
  readonly keyAt: readonly number[];
  /** By place in a tuple of the log: the place among the columns, -1 for one that is excluded. */
  readonly placeOf: readonly number[];
  /** Values are kept back, so no tuple may be shown as it is. */
  readonly keepsBack: boolean;
  readonly codec: ChangeCodec;
}

/** Prepares the decoding of a table that was planned with this schema and storage. */
export function tablePlan(schema: TableSchema, storageText: string, hasher: Hasher): TablePlan {
  const storage = parseStorage(storageText);
  requireSameKey(schema, storage, hasher);
  const columns = sentColumns(storage);
  if (columns.length !== schema.columns.length) throw new RangeError(`schema and storage of ${schema.table} differ in columns`);
  return {
    table: schema.table,
    schema,
    storage,
    columns,
    parsers: columns.map(({ hashed, type }) => (hashed === undefined ? cellParser(type) : hasher.hash)),
    keyAt: keyIndexes(schema),
    placeOf: storage.columns.map((column) => columns.indexOf(column)),
    keepsBack: keepsBack(storage),
    codec: new ChangeCodec(schema),
  };
}

/** Why the stream's description of a table is no longer the planned one; undefined while it is. Names columns, never values. */
export function relationDifference(plan: TablePlan, relation: Relation): string | undefined {
  const { storage } = plan;
  const name = `${relation.namespace}.${relation.name}`;
  if (relation.oid !== storage.oid) return `the table was dropped and created again`;
  if (name !== plan.table) return `the table was renamed to ${name}`;
  if (relation.replicaIdentity !== storage.replicaIdentity)
    return `the replica identity changed from ${identityName(storage.replicaIdentity)} to ${identityName(relation.replicaIdentity)}`;
  for (let index = 0; index < Math.max(storage.columns.length, relation.columns.length); index++) {
    const planned = storage.columns[index];
    const found = relation.columns[index];
    if (planned === undefined) return `column ${found?.name} was added`;
    if (found === undefined || found.name !== planned.name) return `column ${planned.name} was dropped, renamed or moved`;
    if (found.typeOid !== planned.typeOid || found.typmod !== planned.typmod) return `the type of column ${planned.name} changed`;
    if (found.key !== (storage.replicaIdentity === 'f' || storage.key.includes(planned.attnum)))
      return `column ${planned.name} ${found.key ? 'became' : 'is no longer'} part of the key`;
  }
  return undefined;
}

/** Decodes a tuple in place. Throws CellTextError with the column's name for a value that cannot be held. */
export function readRow(plan: TablePlan, bytes: Buffer, start: number, end: number): Cell[] {
  const { parsers, placeOf } = plan;
  const count = placeOf.length;
  if (uint16At(bytes, start) !== count) throw new RangeError(`a tuple of ${plan.table} has another number of columns than its relation`);
  const row: Cell[] = new Array(parsers.length);
  let at = start + 2;
  let index = 0;
  try {
    for (; index < count; index++) {
      const kind = bytes[at++];
      const place = placeOf[index] as number;
      if (kind === TUPLE_TEXT) {
        const from = at + 4;
        at = from + uint32At(bytes, at);
        if (at > end) throw new RangeError('a tuple ends before its time');
        if (place >= 0) row[place] = (parsers[place] as CellParser)(bytes, from, at);
      } else if (kind === TUPLE_NULL) {
        if (place >= 0) row[place] = null;
      } else if (kind === TUPLE_UNCHANGED) {
        if (place >= 0) row[place] = UNCHANGED;
      } else throw new RangeError('a tuple holds a column of an unknown kind');
    }
  } catch (error) {
    if (!(error instanceof CellTextError)) throw error;
    throw new CellTextError(`column ${plan.storage.columns[index]?.name}: ${error.message}`);
  }
  return row;
}

/** The texts of a tuple's columns, excluded ones too, as sent; undefined where a column is null or was left out. */
export function readTexts(bytes: Buffer, start: number): (string | undefined)[] {
  const texts: (string | undefined)[] = [];
  let at = start + 2;
  for (let count = uint16At(bytes, start); count > 0; count--) {
    if (bytes[at++] !== TUPLE_TEXT) {
      texts.push(undefined);
      continue;
    }
    const from = at + 4;
    at = from + uint32At(bytes, at);
    texts.push(bytes.toString('utf8', from, at));
  }
  return texts;
}

function identityName(identity: string): string {
  return { d: 'DEFAULT', i: 'USING INDEX', f: 'FULL', n: 'NOTHING' }[identity] ?? identity;
}
