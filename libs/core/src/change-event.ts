import { readCell, writeCell, writeValue } from './avro/cells.ts';
import { AvroReader } from './avro/reader.ts';
import { readStrings, writeStrings } from './avro/record.ts';
import { WIRE_HEADER_BYTES } from './avro/wire.ts';
import { AvroWriter } from './avro/writer.ts';
import type { Cell, CellValue, Row } from './cell.ts';
import { UNCHANGED } from './cell.ts';
import type { Position } from './position.ts';
import { parsePosition } from './position.ts';
import { rowRecord, tableSchemaOfRecord } from './row-schema.ts';
import type { TableId, TableSchema } from './table.ts';
import { keyIndexes } from './table.ts';

/**
 * One change of one row, or a truncation of the table (`t`). `before` has at least the key of what was, `after` the row as it
 * is; columns that the log left out are UNCHANGED cells. A key change arrives as two events: `d` of the old key, then `c`.
 */
export interface ChangeEvent {
  readonly table: TableId;
  readonly op: 'c' | 'u' | 'd' | 't';
  readonly before: Row | null;
  readonly after: Row | null;
  /** No row with this key existed when the event was completed: apply to an existing row, never insert. */
  readonly rowless: boolean;
  readonly position: Position;
  readonly epoch: string;
  readonly session: number;
  /** Transaction id and commit time (milliseconds since 1970) at the source. */
  readonly txId: number;
  readonly commitMs: number;
}

/** Where a change came from, in Debezium's words; constant for one capture. */
export interface ChangeOrigin {
  readonly db: string;
}

/** Encodes and decodes the change events of one table schema, in Avro with the registry's wire format. */
export class ChangeCodec {
  readonly schema: TableSchema;
  /** The Avro schema of the envelope as JSON text. */
  readonly avro: string;
  private readonly writer = new AvroWriter();
  private readonly keyAt: readonly number[];
  private readonly names: { readonly schema: string; readonly name: string };

  constructor(schema: TableSchema) {
    this.schema = schema;
    this.keyAt = keyIndexes(schema);
    const dot = schema.table.indexOf('.');
    this.names = { schema: schema.table.slice(0, dot), name: schema.table.slice(dot + 1) };
    this.avro = JSON.stringify(envelopeRecord(schema));
  }

  /** The codec for messages whose envelope schema is this JSON text. */
  static fromAvro(json: string): ChangeCodec {
    const envelope = JSON.parse(json) as { fields: readonly { name: string; type: readonly unknown[] }[] };
    const value = envelope.fields.find((field) => field.name === 'before')?.type[1];
    return new ChangeCodec(tableSchemaOfRecord(value));
  }

  /** The row's canonical key bytes: keys are equal when these are. Throws when a key cell is null or unchanged. */
  key(row: Row): Buffer {
    const { writer } = this;
    writer.reset();
    for (const index of this.keyAt) {
      const cell = row[index];
      const column = this.schema.columns[index];
      if (cell === null || cell === undefined || cell === UNCHANGED || column === undefined)
        throw new RangeError(`a change of ${this.schema.table} has no value for key column ${column?.name ?? index}`);
      writeValue(writer, column.type, cell);
    }
    return writer.copy();
  }

  /** The canonical key bytes of the key's cells alone, in key order. */
  keyOfCells(cells: Row): Buffer {
    const { writer } = this;
    writer.reset();
    for (const [place, index] of this.keyAt.entries())
      writeValue(writer, (this.schema.columns[index] as (typeof this.schema.columns)[0]).type, cells[place] as CellValue);
    return writer.copy();
  }

  /** The message value. `header` is the wire header of this codec's registered schema. */
  encode(event: ChangeEvent, header: Uint8Array, origin: ChangeOrigin): Buffer {
    const { writer } = this;
    writer.reset();
    writer.raw(header);
    this.writeRow(event.before);
    this.writeRow(event.after);
    writer.string(event.op);
    this.writeSource(event, origin);
    writer.int(event.commitMs);
    writer.int(event.session);
    writer.string(event.position);
    writer.string(event.epoch);
    writeStrings(writer, this.unchangedNames(event.after));
    writer.boolean(event.rowless);
    return writer.copy();
  }

  /** Reads a message value, wire header included. */
  decode(value: Uint8Array): ChangeEvent {
    const reader = new AvroReader(value, WIRE_HEADER_BYTES);
    const before = this.readRow(reader);
    const after = this.readRow(reader);
    const op = reader.string() as ChangeEvent['op'];
    const txId = readSource(reader);
    const commitMs = reader.int();
    const session = reader.int();
    const position = parsePosition(reader.string());
    const epoch = reader.string();
    for (const name of readStrings(reader)) this.markUnchanged(after, name);
    const rowless = reader.boolean();
    return { table: this.schema.table, op, before, after, rowless, position, epoch, session, txId, commitMs };
  }

  private writeRow(row: Row | null): void {
    if (row === null) return this.writer.byte(0);
    this.writer.byte(2);
    const { columns } = this.schema;
    for (let index = 0; index < columns.length; index++)
      writeCell(this.writer, (columns[index] as (typeof columns)[0]).type, row[index] ?? null);
  }

  private readRow(reader: AvroReader): Cell[] | null {
    if (reader.byte() === 0) return null;
    return this.schema.columns.map((column) => readCell(reader, column.type));
  }

  private writeSource(event: ChangeEvent, origin: ChangeOrigin): void {
    this.writer.string(origin.db);
    this.writer.string(this.names.schema);
    this.writer.string(this.names.name);
    this.writer.string(event.position);
    this.writer.int(event.txId);
    this.writer.int(event.commitMs);
  }

  private unchangedNames(row: Row | null): string[] {
    if (row === null) return [];
    return this.schema.columns.filter((_, index) => row[index] === UNCHANGED).map((column) => column.name);
  }

  private markUnchanged(row: Cell[] | null, name: string): void {
    const index = this.schema.columns.findIndex((column) => column.name === name);
    if (row === null || index < 0) throw new RangeError(`a change of ${this.schema.table} names an unknown column as unchanged`);
    row[index] = UNCHANGED;
  }
}

function readSource(reader: AvroReader): number {
  for (let skipped = 0; skipped < 4; skipped++) reader.lengthPrefixed();
  const txId = reader.int();
  reader.int();
  return txId;
}

function envelopeRecord(schema: TableSchema): unknown {
  const value = rowRecord(schema);
  const source = {
    type: 'record',
    name: 'Source',
    fields: [
      { name: 'db', type: 'string' },
      { name: 'schema', type: 'string' },
      { name: 'table', type: 'string' },
      { name: 'lsn', type: 'string' },
      { name: 'txId', type: 'long' },
      { name: 'ts_ms', type: 'long' },
    ],
  };
  return {
    type: 'record',
    name: 'Envelope',
    namespace: value.namespace,
    fields: [
      { name: 'before', type: ['null', value], default: null },
      { name: 'after', type: ['null', 'Value'], default: null },
      { name: 'op', type: 'string' },
      { name: 'source', type: source },
      { name: 'ts_ms', type: 'long' },
      { name: 'session', type: 'long' },
      { name: 'position', type: 'string' },
      { name: 'epoch', type: 'string' },
      { name: 'unchanged', type: { type: 'array', items: 'string' } },
      { name: 'rowless', type: 'boolean' },
    ],
  };
}
