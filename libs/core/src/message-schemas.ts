import { AvroReader } from './avro/reader.ts';
import type { FieldType, RecordCodec, RecordOf } from './avro/record.ts';
import { newerMessage } from './avro/record.ts';
import { schemaIdOf, WIRE_HEADER_BYTES } from './avro/wire.ts';
import { ChangeCodec } from './change-event.ts';
import { CONTROL_EVENT, END_MARKER, PARTITION_TASK, QUARANTINED, ROW_BATCH } from './messages.ts';
import type { Registry } from './ports/bus.ts';
import { rowBlockSchemaJson, tableSchemaOf } from './row-schema.ts';
import type { TableSchema } from './table.ts';

// biome-ignore lint/suspicious/noExplicitAny: what its fields are is known where a record is read.
type AnyCodec = RecordCodec<any>;

/** What the messages of one schema are. */
type Known =
  | { readonly kind: 'record'; readonly name: string; readonly read: (reader: AvroReader) => unknown }
  | { readonly kind: 'changes'; readonly codec: ChangeCodec }
  | { readonly kind: 'rows'; readonly schema: TableSchema };

const RECORDS: readonly AnyCodec[] = [PARTITION_TASK, ROW_BATCH, END_MARKER, QUARANTINED, CONTROL_EVENT];

/**
 * Reads messages by the schemas that they name, whichever version wrote them: of an older one what it did not write has its default. A newer one that
 * wrote what is not known here is refused (PipelineError `newer-version`), so no message is half understood.
 */
export class MessageSchemas {
  private readonly registry: Registry;
  private readonly known = new Map<number, Known>();

  private constructor(registry: Registry) {
    this.registry = registry;
  }

  /** With the ids of these records of this version, by subject: they are not asked for again. */
  static async open(registry: Registry, own: Readonly<Record<string, AnyCodec>>): Promise<MessageSchemas> {
    const schemas = new MessageSchemas(registry);
    for (const [subject, codec] of Object.entries(own))
      schemas.known.set(await registry.register(subject, codec.schema), recordOf(codec, codec.schema));
    return schemas;
  }

  /** The record in this message, or undefined where the message is another. Of schemas that were met already at once. */
  read<F extends Readonly<Record<string, FieldType>>>(
    codec: RecordCodec<F>,
    value: Uint8Array,
  ): RecordOf<F> | undefined | Promise<RecordOf<F> | undefined> {
    const read = (known: Known) =>
      known.kind === 'record' && known.name === codec.name
        ? (known.read(new AvroReader(value, WIRE_HEADER_BYTES)) as RecordOf<F>)
        : undefined;
    const known = this.of(schemaIdOf(value));
    return known instanceof Promise ? known.then(read) : read(known);
  }

  /** The codec of the change in this message, or undefined where the message is no change. */
  changes(value: Uint8Array): ChangeCodec | undefined | Promise<ChangeCodec | undefined> {
    const codec = (known: Known) => (known.kind === 'changes' ? known.codec : undefined);
    const known = this.of(schemaIdOf(value));
    return known instanceof Promise ? known.then(codec) : codec(known);
  }

  /** The table schema of the rows whose schema has this id; throws `newer-version` where they are none. */
  async rows(id: number): Promise<TableSchema> {
    const known = await this.of(id);
    if (known.kind !== 'rows') throw newerMessage('rows', `schema ${id}`);
    return known.schema;
  }

  /** True when the message is known to hold such a record; false also where its schema was not met yet. */
  isKnownAs(codec: AnyCodec, value: Uint8Array): boolean {
    const known = this.known.get(schemaIdOf(value));
    return known?.kind === 'record' && known.name === codec.name;
  }

  private of(id: number): Known | Promise<Known> {
    return this.known.get(id) ?? this.learn(id);
  }

  private async learn(id: number): Promise<Known> {
    const known = knownOf(await this.registry.schema(id));
    this.known.set(id, known);
    return known;
  }
}

function recordOf(codec: AnyCodec, written: string): Known {
  return { kind: 'record', name: codec.name, read: codec.readerOf(written) };
}

function knownOf(written: string): Known {
  const { name, namespace } = JSON.parse(written) as { readonly name: string; readonly namespace?: string };
  const codec = RECORDS.find((one) => one.name === `${namespace}.${name}`);
  if (codec !== undefined) return recordOf(codec, written);
  if (name === 'Envelope') {
    const changes = ChangeCodec.fromAvro(written);
    if (!sameJson(changes.avro, written)) throw newerMessage('change', 'its envelope');
    return { kind: 'changes', codec: changes };
  }
  if (name !== 'Row') throw newerMessage(`${name}`, 'this kind of message');
  const schema = tableSchemaOf(written);
  if (!sameJson(rowBlockSchemaJson(schema), written)) throw newerMessage('row batch', 'the form of its rows');
  return { kind: 'rows', schema };
}

/** True when two texts are the same JSON, whatever the order of keys: a registry may write a schema anew. */
function sameJson(a: string, b: string): boolean {
  return JSON.stringify(inOrder(JSON.parse(a))) === JSON.stringify(inOrder(JSON.parse(b)));
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([x], [y]) => (x < y ? -1 : 1))
      .map(([key, inner]) => [key, inOrder(inner)]),
  );
}
