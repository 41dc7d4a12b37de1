import { PipelineError } from '../errors.ts';
import type { AvroReader } from './reader.ts';
import { AvroWriter } from './writer.ts';

/** The field types of the small messages: what a {@link RecordCodec} can carry. */
export type FieldType = 'string' | 'int' | 'boolean' | 'bytes' | 'nullable string' | 'string[]';

type FieldValue<T extends FieldType> = T extends 'string'
  ? string
  : T extends 'int'
    ? number
    : T extends 'boolean'
      ? boolean
      : T extends 'bytes'
        ? Uint8Array
        : T extends 'nullable string'
          ? string | null
          : readonly string[];

/** The plain object that a record with these fields decodes to. */
export type RecordOf<F extends Readonly<Record<string, FieldType>>> = { readonly [K in keyof F]: FieldValue<F[K]> };

const AVRO: Record<FieldType, unknown> = {
  string: 'string',
  int: 'long',
  boolean: 'boolean',
  bytes: 'bytes',
  'nullable string': ['null', 'string'],
  'string[]': { type: 'array', items: 'string' },
};

/** Encodes and decodes one flat Avro record type; its schema is what the registry stores. */
export class RecordCodec<F extends Readonly<Record<string, FieldType>>> {
  /** The full Avro name, e.g. `nanosync.PartitionTask`. */
  readonly name: string;
  /** The Avro schema as JSON text, stable for the same fields. */
  readonly schema: string;
  private readonly fields: readonly (readonly [string, FieldType])[];

  private readonly defaults: Partial<RecordOf<F>>;

  /** `defaults` are the values of fields that records of older versions do not have. */
  constructor(name: string, fields: F, defaults: Partial<RecordOf<F>> = {}) {
    this.name = name;
    this.defaults = defaults;
    this.fields = Object.entries(fields);
    const [namespace, local] = [name.slice(0, name.lastIndexOf('.')), name.slice(name.lastIndexOf('.') + 1)];
    this.schema = JSON.stringify({
      type: 'record',
      name: local,
      namespace,
      fields: this.fields.map(([field, type]) => ({
        name: field,
        type: AVRO[type],
        ...(field in defaults ? { default: defaults[field] } : {}),
      })),
    });
  }

  /** Appends the record to what the writer holds. */
  write(writer: AvroWriter, record: RecordOf<F>): void {
    for (const [name, type] of this.fields) writeField(writer, type, (record as Record<string, unknown>)[name]);
  }

  /** The record alone as bytes. */
  encode(record: RecordOf<F>): Buffer {
    const writer = new AvroWriter(1024);
    this.write(writer, record);
    return writer.copy();
  }

  /** Reads one record; `bytes` fields are views into the reader's buffer. */
  read(reader: AvroReader): RecordOf<F> {
    return Object.fromEntries(this.fields.map(([name, type]) => [name, readField(reader, type)])) as RecordOf<F>;
  }

  /**
   * How to read records that were written with this schema (JSON text) of the same name. What an older version did not write has its default. Throws
   * PipelineError `newer-version` when it holds what is not known here: nothing of it is passed over.
   */
  readerOf(written: string): (reader: AvroReader) => RecordOf<F> {
    const { fields } = JSON.parse(written) as { readonly fields: readonly { readonly name: string; readonly type: unknown }[] };
    const types = fields.map(({ name, type }) => {
      const known = this.fields.find(([field]) => field === name)?.[1];
      if (known === undefined || JSON.stringify(AVRO[known]) !== JSON.stringify(type)) throw newerMessage(this.name, name);
      return [name, known] as const;
    });
    const missing = this.fields.find(([name]) => !(name in this.defaults) && !types.some(([field]) => field === name));
    if (missing !== undefined) throw newerMessage(this.name, missing[0]);
    return (reader) =>
      ({ ...this.defaults, ...Object.fromEntries(types.map(([name, type]) => [name, readField(reader, type)])) }) as RecordOf<F>;
  }
}

/** The error about a message that another version wrote. */
export function newerMessage(record: string, what: string): PipelineError {
  return new PipelineError(
    'newer-version',
    `A message on the bus (${record}) was written by a newer nanosync: ${what} is not known here.`,
    {
      hint: 'Run the nanosync that wrote it, or a newer one.',
    },
  );
}

function writeField(writer: AvroWriter, type: FieldType, value: unknown): void {
  switch (type) {
    case 'string':
      return writer.string(value as string);
    case 'int':
      return writer.int(value as number);
    case 'boolean':
      return writer.boolean(value as boolean);
    case 'bytes':
      return writer.lengthPrefixed(value as Uint8Array);
    case 'nullable string':
      if (value === null) return writer.byte(0);
      writer.byte(2);
      return writer.string(value as string);
    case 'string[]':
      return writeStrings(writer, value as readonly string[]);
  }
}

function readField(reader: AvroReader, type: FieldType): unknown {
  switch (type) {
    case 'string':
      return reader.string();
    case 'int':
      return reader.int();
    case 'boolean':
      return reader.boolean();
    case 'bytes':
      return reader.lengthPrefixed();
    case 'nullable string':
      return reader.byte() === 0 ? null : reader.string();
    case 'string[]':
      return readStrings(reader);
  }
}

/** Writes an Avro array of strings in one block. */
export function writeStrings(writer: AvroWriter, values: readonly string[]): void {
  if (values.length > 0) {
    writer.int(values.length);
    for (const value of values) writer.string(value);
  }
  writer.int(0);
}

/** Reads an Avro array of strings. */
export function readStrings(reader: AvroReader): string[] {
  const values: string[] = [];
  for (let count = reader.int(); count !== 0; count = reader.int()) {
    if (count < 0) {
      reader.int();
      count = -count;
    }
    for (let index = 0; index < count; index++) values.push(reader.string());
  }
  return values;
}
