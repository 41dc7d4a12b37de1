import { MessageFields } from './message-fields.ts';

/** A column as a Relation message describes it. */
export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typmod: number;
  /** Part of what identifies a row in the log; with REPLICA IDENTITY FULL every column is. */
  readonly key: boolean;
}

/** A table as the stream describes it before its first change and after every change of its definition. */
export interface Relation {
  readonly kind: 'relation';
  readonly oid: number;
  readonly namespace: string;
  readonly name: string;
  /** `d` default, `i` index, `f` full, `n` nothing. */
  readonly replicaIdentity: string;
  readonly columns: readonly RelationColumn[];
}

/** A key of the old row (`K`), or all of it (`O`, under REPLICA IDENTITY FULL), or neither. */
export type OldTupleKind = 'K' | 'O' | null;

/**
 * A message of pgoutput's protocol version 1. Tuples are given as offsets into the decoded bytes: the row decoder reads them
 * in place, so that a row costs no objects but its own cells.
 */
export type PgoutputMessage =
  | { readonly kind: 'begin'; readonly commitLsn: bigint; readonly commitMs: number; readonly xid: number }
  | { readonly kind: 'commit'; readonly commitLsn: bigint; readonly endLsn: bigint; readonly commitMs: number }
  | Relation
  | { readonly kind: 'insert'; readonly oid: number; readonly newAt: number }
  | { readonly kind: 'update'; readonly oid: number; readonly old: OldTupleKind; readonly oldAt: number; readonly newAt: number }
  | { readonly kind: 'delete'; readonly oid: number; readonly old: OldTupleKind; readonly oldAt: number }
  | { readonly kind: 'truncate'; readonly oids: readonly number[]; readonly cascade: boolean; readonly restartIdentity: boolean }
  | {
      readonly kind: 'message';
      readonly transactional: boolean;
      readonly lsn: bigint;
      readonly prefix: string;
      readonly content: Buffer;
    }
  | { readonly kind: 'origin'; readonly lsn: bigint; readonly name: string }
  | { readonly kind: 'type'; readonly oid: number; readonly namespace: string; readonly name: string };

/** The kinds of a column in a tuple: null, unchanged large value left out of the log, text. */
export const TUPLE_NULL = 0x6e;
export const TUPLE_UNCHANGED = 0x75;
export const TUPLE_TEXT = 0x74;

/** Microseconds from 1970 to PostgreSQL's epoch, 2000-01-01, in milliseconds. */
const EPOCH_MS = 946_684_800_000;

/** Decodes one message that lies at `start` to `end` of the bytes; throws RangeError when it is none of protocol version 1. */
export function decodePgoutput(bytes: Buffer, start: number, end: number): PgoutputMessage {
  switch (bytes[start]) {
    case 0x49: // I
      return { kind: 'insert', oid: uint32At(bytes, start + 1), newAt: newTuple(bytes, start + 5) };
    case 0x55: // U
      return decodeUpdate(bytes, start, end);
    case 0x44: // D
      return { kind: 'delete', oid: uint32At(bytes, start + 1), old: oldTupleKind(bytes, start + 5), oldAt: start + 6 };
    case 0x42: // B
      return {
        kind: 'begin',
        commitLsn: bytes.readBigUInt64BE(start + 1),
        commitMs: timeAt(bytes, start + 9),
        xid: uint32At(bytes, start + 17),
      };
    case 0x43: // C
      return {
        kind: 'commit',
        commitLsn: bytes.readBigUInt64BE(start + 2),
        endLsn: bytes.readBigUInt64BE(start + 10),
        commitMs: timeAt(bytes, start + 18),
      };
    default:
      return decodeRare(bytes, start, end);
  }
}

function decodeRare(bytes: Buffer, start: number, end: number): PgoutputMessage {
  const reader = new MessageFields(bytes, start + 1, end);
  switch (bytes[start]) {
    case 0x52: // R
      return decodeRelation(reader);
    case 0x54: // T
      return decodeTruncate(reader);
    case 0x4d: // M
      return {
        kind: 'message',
        transactional: (reader.uint8() & 1) === 1,
        lsn: reader.uint64(),
        prefix: reader.text(),
        content: reader.bytes(reader.uint32()),
      };
    case 0x4f: // O
      return { kind: 'origin', lsn: reader.uint64(), name: reader.text() };
    case 0x59: // Y
      return { kind: 'type', oid: reader.uint32(), namespace: reader.text(), name: reader.text() };
    default:
      throw new RangeError(`the stream holds a message of an unknown kind (${bytes[start] ?? 'none'})`);
  }
}

function decodeUpdate(bytes: Buffer, start: number, end: number): PgoutputMessage {
  const oid = uint32At(bytes, start + 1);
  if (bytes[start + 5] === 0x4e) return { kind: 'update', oid, old: null, oldAt: -1, newAt: start + 6 };
  const old = oldTupleKind(bytes, start + 5);
  return { kind: 'update', oid, old, oldAt: start + 6, newAt: newTuple(bytes, skipTuple(bytes, start + 6, end)) };
}

function decodeRelation(reader: MessageFields): Relation {
  const oid = reader.uint32();
  // An empty namespace stands for pg_catalog.
  const namespace = reader.text() || 'pg_catalog';
  const name = reader.text();
  const replicaIdentity = String.fromCharCode(reader.uint8());
  const columns: RelationColumn[] = [];
  for (let count = reader.uint16(); count > 0; count--) {
    const key = (reader.uint8() & 1) === 1;
    columns.push({ key, name: reader.text(), typeOid: reader.uint32(), typmod: reader.uint32() | 0 });
  }
  return { kind: 'relation', oid, namespace, name, replicaIdentity, columns };
}

function decodeTruncate(reader: MessageFields): PgoutputMessage {
  const count = reader.uint32();
  const flags = reader.uint8();
  const oids: number[] = [];
  for (let index = 0; index < count; index++) oids.push(reader.uint32());
  return { kind: 'truncate', oids, cascade: (flags & 1) !== 0, restartIdentity: (flags & 2) !== 0 };
}

/** The offset after a tuple. */
export function skipTuple(bytes: Buffer, start: number, end: number): number {
  let at = start + 2;
  for (let count = uint16At(bytes, start); count > 0; count--) {
    const kind = bytes[at++];
    if (kind === TUPLE_NULL || kind === TUPLE_UNCHANGED) continue;
    at += 4 + uint32At(bytes, at);
  }
  if (at > end) throw new RangeError('a tuple ends before its time');
  return at;
}

function newTuple(bytes: Buffer, at: number): number {
  if (bytes[at] !== 0x4e) throw new RangeError('a change carries no new tuple');
  return at + 1;
}

function oldTupleKind(bytes: Buffer, at: number): OldTupleKind {
  const kind = bytes[at];
  if (kind === 0x4b) return 'K';
  if (kind === 0x4f) return 'O';
  throw new RangeError('a change carries no old tuple');
}

/** An unsigned 16-bit number at an offset. */
export function uint16At(bytes: Buffer, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** An unsigned 32-bit number at an offset. */
export function uint32At(bytes: Buffer, at: number): number {
  return (
    (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
  );
}

function timeAt(bytes: Buffer, at: number): number {
  return Math.floor((bytes.readInt32BE(at) * 4_294_967_296 + bytes.readUInt32BE(at + 4)) / 1000) + EPOCH_MS;
}
