import { createHash } from 'node:crypto';
import type { TableSchema } from '@nanosync/core';
import { AvroWriter } from '@nanosync/core';
import { ATTEMPT_COLUMN, avroTypeOf, PARTITION_COLUMN, stagingColumn } from './column-types.ts';

/** A block of an Avro file: so many records, compressed with the file's codec. */
export interface AvroBlock {
  readonly rows: number;
  readonly bytes: Uint8Array;
}

const MAGIC = Buffer.from('Obj\x01', 'latin1');
const SYNC_BYTES = 16;

/** The Avro schema under which row batches of a table are loaded: the same bytes as core's, with types that load whatever the value. */
export function stagingAvro(schema: TableSchema): unknown {
  const own = [
    { name: PARTITION_COLUMN, type: 'int' },
    { name: ATTEMPT_COLUMN, type: 'string' },
  ];
  return { type: 'record', name: 'Row', fields: [...own, ...cellFields(schema)] };
}

/** The Avro fields of a row's cells. */
export function cellFields(schema: TableSchema): readonly unknown[] {
  return schema.columns.map(({ type }, index) => ({ name: stagingColumn(index), type: ['null', avroTypeOf(type)], default: null }));
}

/**
 * An Avro object container file (Apache Avro 1.12, "Object Container Files") around blocks as they came, in pieces that are not copied. All
 * blocks have the file's codec. `id` makes the sync marker.
 */
export function avroFile(schema: unknown, codec: string, blocks: readonly AvroBlock[], id: string): readonly Uint8Array[] {
  const sync = createHash('sha256').update(id).digest().subarray(0, SYNC_BYTES);
  const writer = new AvroWriter(4096);
  writer.raw(MAGIC);
  writer.int(2);
  writer.string('avro.schema');
  writer.string(JSON.stringify(schema));
  writer.string('avro.codec');
  writer.string(codec);
  writer.int(0);
  writer.raw(sync);
  const pieces: Uint8Array[] = [writer.copy()];
  for (const { rows, bytes } of blocks) {
    writer.reset();
    writer.int(rows);
    writer.int(bytes.length);
    pieces.push(writer.copy(), bytes, sync);
  }
  return pieces;
}
