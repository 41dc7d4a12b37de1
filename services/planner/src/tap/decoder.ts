import { zstdDecompressSync } from 'node:zlib';
import type { Message, Registry, RowBatch } from '@nanosync/core';
import { AvroReader, decodeMessage, describeError, isKind, ROW_BATCH, schemaIdOf, WIRE_HEADER_BYTES } from '@nanosync/core';
import type { MessageSchema } from './avro-json.ts';
import { compileSchema } from './avro-json.ts';
import type { EntryKind, EntryPlace, JsonRecord, TapEntry } from './entry.ts';

/** Our records by their full name; any other is the envelope of a table's changes. */
const KINDS: Readonly<Record<string, EntryKind>> = {
  'nanosync.EndMarker': 'end',
  'nanosync.ControlEvent': 'control',
  'nanosync.PartitionTask': 'task',
  'nanosync.Quarantined': 'quarantined',
};

/** Fields of a staged row that are not the source's. */
const OWN_FIELDS = /^_nanosync_/;

/** Decodes messages by the schemas that they name; knows none beforehand, so it reads what other versions wrote as well. */
export class MessageDecoder {
  readonly #registry: Registry;
  readonly #schemas = new Map<number, MessageSchema>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** The entries of a message: one, or one a row. A message that cannot be decoded is an entry that says why. */
  async decode(place: EntryPlace, message: Message): Promise<readonly TapEntry[]> {
    try {
      const schema = await this.#schema(schemaIdOf(message.value));
      if (schema.name === ROW_BATCH.name) return await this.#rows(place, decodeMessage(ROW_BATCH, message.value));
      const fields = schema.read(new AvroReader(message.value, WIRE_HEADER_BYTES));
      return [entryOf(place, KINDS[schema.name] ?? 'change', fields)];
    } catch (error) {
      if (!(error instanceof RangeError) && !isKind(error, 'gap')) throw error;
      return [{ ...place, kind: 'undecodable', table: null, fields: { reason: describeError(error), bytes: message.value.length } }];
    }
  }

  async #rows(place: EntryPlace, { rowSchemaId, rows, codec, block, ...batch }: RowBatch): Promise<readonly TapEntry[]> {
    const schema = await this.#schema(rowSchemaId);
    const reader = new AvroReader(codec === 'zstandard' ? zstdDecompressSync(block) : block);
    return Array.from({ length: rows }, () => {
      const row = Object.fromEntries(Object.entries(schema.read(reader)).filter(([name]) => !OWN_FIELDS.test(name)));
      return { ...place, kind: 'row', table: batch.table, fields: { ...batch, row } };
    });
  }

  async #schema(id: number): Promise<MessageSchema> {
    let schema = this.#schemas.get(id);
    if (schema === undefined) {
      schema = compileSchema(await this.#registry.schema(id));
      this.#schemas.set(id, schema);
    }
    return schema;
  }
}

function entryOf(place: EntryPlace, kind: EntryKind, fields: JsonRecord): TapEntry {
  switch (kind) {
    case 'change': {
      const { schema, table } = fields.source as { readonly schema: string; readonly table: string };
      return { ...place, kind, table: `${schema}.${table}`, fields: { table: `${schema}.${table}`, ...fields } };
    }
    case 'control': {
      // Its own word for what it is would stand in the place of ours.
      const { kind: event, ...rest } = fields;
      return { ...place, kind, table: `${fields.table}`, fields: { event: event ?? null, ...rest } };
    }
    default:
      return { ...place, kind, table: (fields.table as string | undefined) ?? null, fields };
  }
}
