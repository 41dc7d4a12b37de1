import type { Row, TableSchema } from '@nanosync/core';
import { ChangeCodec } from '@nanosync/core';
import type { Heap, Version } from './heap.ts';

/** Who sees what: transactions below `next` that did not run when it was taken. One's own writes count beside. */
export interface Snapshot {
  readonly next: number;
  readonly running: ReadonlySet<number>;
}

/** True when what this transaction wrote is seen; those that rolled back took their writes with them. */
export function sees(snapshot: Snapshot, xid: number): boolean {
  return xid < snapshot.next && !snapshot.running.has(xid);
}

/** The version as a read has it. */
export function isVisible(version: Version, snapshot: Snapshot): boolean {
  if (version.aborted || !sees(snapshot, version.madeBy)) return false;
  return version.removedBy === 0 || !sees(snapshot, version.removedBy);
}

/** A table of the model: its file, who holds its locks, and what committed transactions amount to. */
export class ModelTable {
  readonly schema: TableSchema;
  readonly oid: number;
  /** The file that readers have. */
  heap: Heap;
  /** The file that a truncation made, until its transaction is over. */
  fresh: { readonly owner: object; readonly heap: Heap } | undefined;
  /** The transaction that truncated the table and is not over. */
  exclusive: object | undefined;
  /** Transactions that hold a writer's lock of the table, until they are over. */
  readonly writers = new Set<object>();
  /** Range reads that hold the table's lock, with their snapshots once taken. */
  readonly readers = new Set<{ snapshot: Snapshot | undefined }>();
  /** By key, what all transactions of the log amount to, visible or not. */
  readonly committed = new Map<string, Row>();
  private readonly codec: ChangeCodec;

  constructor(schema: TableSchema, oid: number, heap: Heap) {
    this.schema = schema;
    this.oid = oid;
    this.heap = heap;
    this.codec = new ChangeCodec(schema);
  }

  /** Identity and file, as the source hands them out. */
  get storage(): string {
    return `${this.oid}/${this.heap.file}`;
  }

  keyOf(row: Row): string {
    return this.codec.key(row).toString('latin1');
  }

  /** The row with nothing but its key, as the log has a row that goes. */
  keyOnly(row: Row): Row {
    return row.map((cell, index) => (this.schema.key.includes(this.schema.columns[index]?.name ?? '') ? cell : null));
  }

  /** The rows that a read with this snapshot finds. */
  visible(snapshot: Snapshot, from = 0, to = Number.POSITIVE_INFINITY): Row[] {
    const rows: Row[] = [];
    for (const version of this.heap.versions(from, to)) if (isVisible(version, snapshot)) rows.push(version.row);
    return rows;
  }
}
