import { AvroReader } from './reader.ts';
import type { FieldType, RecordCodec, RecordOf } from './record.ts';
import { AvroWriter } from './writer.ts';

/** Confluent's wire format: a zero byte, the schema's id as four big-endian bytes, then the Avro value. */
export const WIRE_HEADER_BYTES = 5;

/** The header for a schema id. */
export function wireHeader(schemaId: number): Buffer {
  const header = Buffer.alloc(WIRE_HEADER_BYTES);
  header.writeUInt32BE(schemaId, 1);
  return header;
}

/** The schema id of a message value; throws when the value is not in the wire format. */
export function schemaIdOf(value: Uint8Array): number {
  if (value.length < WIRE_HEADER_BYTES || value[0] !== 0) throw new RangeError('a message is not in the registry wire format');
  return new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(1);
}

/** One record as a message value. */
export function encodeMessage<F extends Readonly<Record<string, FieldType>>>(
  codec: RecordCodec<F>,
  schemaId: number,
  record: RecordOf<F>,
): Buffer {
  const writer = new AvroWriter(1024);
  writer.raw(wireHeader(schemaId));
  codec.write(writer, record);
  return writer.copy();
}

/** Reads what {@link encodeMessage} wrote; the caller has compared the schema id. */
export function decodeMessage<F extends Readonly<Record<string, FieldType>>>(codec: RecordCodec<F>, value: Uint8Array): RecordOf<F> {
  return codec.read(new AvroReader(value, WIRE_HEADER_BYTES));
}
