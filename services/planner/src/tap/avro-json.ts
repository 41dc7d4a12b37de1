import { cellJson } from '@nanosync/api';
import type { AvroReader, ColumnType } from '@nanosync/core';
import { readCell } from '@nanosync/core';
import type { Json, JsonRecord } from './entry.ts';

/** Reads one value of a schema. */
type ReadJson = (reader: AvroReader) => Json;

interface FieldSchema {
  readonly name: string;
  readonly type: unknown;
  /** The source's name of the column, where the field is one. */
  readonly column?: string;
}

interface RecordSchema {
  readonly type: 'record';
  readonly name: string;
  readonly namespace?: string;
  readonly fields: readonly FieldSchema[];
  /** Of a row's record: its table and the names of the key columns. */
  readonly table?: string;
  readonly key?: readonly string[];
}

/** A schema of the registry, made ready for reading: nothing but the schema text says what a message holds. */
export interface MessageSchema {
  /** Full name of the record, such as `nanosync.RowBatch`. */
  readonly name: string;
  readonly table: string | null;
  readonly read: (reader: AvroReader) => JsonRecord;
}

/** Compiles the schema text of a record. Columns come out under the source's names, in the forms of {@link cellJson}. */
export function compileSchema(json: string): MessageSchema {
  const schema = JSON.parse(json) as RecordSchema;
  const read = compile(schema, new Map());
  return {
    name: schema.namespace === undefined ? schema.name : `${schema.namespace}.${schema.name}`,
    table: schema.table ?? null,
    read: (reader) => read(reader) as JsonRecord,
  };
}

function compile(schema: unknown, named: Map<string, ReadJson>): ReadJson {
  if (Array.isArray(schema)) return compileUnion(schema, named);
  if (typeof schema === 'string') return named.get(schema) ?? primitive(schema);
  const complex = schema as { readonly type: unknown; readonly items?: unknown };
  if (complex.type === 'record') return compileRecord(schema as RecordSchema, named);
  if (complex.type === 'array') return compileArray(compile(complex.items, named));
  return compile(complex.type, named);
}

function compileRecord(schema: RecordSchema, named: Map<string, ReadJson>): ReadJson {
  const fields: (readonly [string, ReadJson])[] = [];
  const read: ReadJson = (reader) => {
    const record: Record<string, Json> = {};
    for (const [name, field] of fields) record[name] = field(reader);
    return record;
  };
  named.set(schema.name, read);
  named.set(`${schema.namespace}.${schema.name}`, read);
  for (const { name, type, column } of schema.fields) fields.push([column ?? name, compileField(type, named)]);
  return read;
}

/** A field that is a column carries our own kind of it beside Avro's type. */
function compileField(type: unknown, named: Map<string, ReadJson>): ReadJson {
  const kind = (Array.isArray(type) ? (type[1] as { readonly nanosync?: ColumnType } | undefined) : undefined)?.nanosync;
  if (kind === undefined) return compile(type, named);
  return (reader) => cellJson(kind, readCell(reader, kind));
}

function compileUnion(branches: readonly unknown[], named: Map<string, ReadJson>): ReadJson {
  const readers = branches.map((branch) => compile(branch, named));
  return (reader) => {
    const read = readers[reader.int()];
    if (read === undefined) throw new RangeError('a union names a branch that its schema lacks');
    return read(reader);
  };
}

function compileArray(item: ReadJson): ReadJson {
  return (reader) => {
    const items: Json[] = [];
    for (let count = reader.int(); count !== 0; count = reader.int()) {
      if (count < 0) {
        reader.int();
        count = -count;
      }
      for (let index = 0; index < count; index++) items.push(item(reader));
    }
    return items;
  };
}

function primitive(name: string): ReadJson {
  switch (name) {
    case 'null':
      return () => null;
    case 'boolean':
      return (reader) => reader.boolean();
    case 'int':
    case 'long':
      return (reader) => {
        const value = reader.bigint();
        const number = Number(value);
        return Number.isSafeInteger(number) ? number : String(value);
      };
    case 'double':
      return (reader) => cellJson({ kind: 'float64' }, reader.double());
    case 'bytes':
      return (reader) => Buffer.from(reader.lengthPrefixed()).toString('base64');
    case 'string':
      return (reader) => reader.string();
    default:
      throw new RangeError(`a schema has a type that is not known here: ${name}`);
  }
}
