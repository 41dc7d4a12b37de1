import { describe, expect, it } from 'vitest';
import { AvroReader } from './avro/reader.ts';
import { RecordCodec } from './avro/record.ts';
import { encodeMessage, wireHeader } from './avro/wire.ts';
import { ChangeCodec } from './change-event.ts';
import { MessageSchemas } from './message-schemas.ts';
import { CONTROL_EVENT, END_MARKER } from './messages.ts';
import type { Registry } from './ports/bus.ts';
import { rowBlockSchemaJson } from './row-schema.ts';
import type { TableId, TableSchema } from './table.ts';

const ORDERS: TableSchema = {
  table: 'public.orders' as TableId,
  columns: [{ name: 'id', type: { kind: 'int32' } }],
  key: ['id'],
};

/** A registry of these schema texts, whose ids are their places; texts come back as a registry may write them: with other order of keys. */
function registryOf(...texts: readonly string[]): Registry {
  const turned = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(turned);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, inner]) => [key, turned(inner)]),
    );
  };
  return {
    register: async (_, schema) => texts.indexOf(schema),
    schema: async (id) => JSON.stringify(turned(JSON.parse(texts[id] ?? '{}'))),
  };
}

const END = { table: 't', epoch: 'e', partition: 1, attempt: 'a', batches: 2, rows: 3, quarantined: 0 };

describe('a message of another version', () => {
  const fields = { table: 'string', rows: 'int' } as const;
  const older = new RecordCodec('nanosync.Example', fields);
  const newer = new RecordCodec('nanosync.Example', { rows: 'int', table: 'string', note: 'string' } as const, { note: 'none' });

  it('that is older is read with the defaults of what it lacks, whatever its order', () => {
    const reader = newer.readerOf(older.schema);
    const bytes = older.encode({ table: 't', rows: 5 });
    expect(reader(new AvroReader(bytes))).toEqual({ table: 't', rows: 5, note: 'none' });
  });

  it('that is newer is refused with a sentence that names what is not known', () => {
    expect(() => older.readerOf(newer.schema)).toThrow(/newer nanosync: note is not known here/);
    const other = new RecordCodec('nanosync.Example', { table: 'string', rows: 'string' } as const);
    expect(() => older.readerOf(other.schema)).toThrow(/rows is not known here/);
  });

  it('that lacks what has no default is refused, too', () => {
    expect(() => older.readerOf(new RecordCodec('nanosync.Example', { table: 'string' } as const).schema)).toThrow(/rows/);
  });

  it('is told apart by its schema on every topic', async () => {
    const written = JSON.parse(END_MARKER.schema) as { fields: object[] };
    const newerEnd = JSON.stringify({ ...written, fields: [...written.fields, { name: 'checksum', type: 'string' }] });
    const schemas = await MessageSchemas.open(registryOf(newerEnd), {});
    const refused = expect.objectContaining({ kind: 'newer-version', message: expect.stringContaining('checksum') });
    await expect(schemas.read(END_MARKER, encodeMessage(END_MARKER, 0, END))).rejects.toEqual(refused);
  });
});

describe('messages of this version', () => {
  const codec = new ChangeCodec(ORDERS);
  const registry = registryOf(END_MARKER.schema, codec.avro, rowBlockSchemaJson(ORDERS), CONTROL_EVENT.schema);

  it('are read at once where their schema is known, and as soon as the registry answers where not', async () => {
    const schemas = await MessageSchemas.open(registry, { end: END_MARKER });
    const value = encodeMessage(END_MARKER, 0, END);
    expect(schemas.isKnownAs(END_MARKER, value)).toBe(true);
    expect(schemas.read(END_MARKER, value)).toEqual(END);
    expect(schemas.read(CONTROL_EVENT, value)).toBeUndefined();
    expect(schemas.changes(wireHeader(1))).toBeInstanceOf(Promise);
    expect((await schemas.changes(wireHeader(1)))?.schema).toEqual(ORDERS);
    expect((schemas.changes(wireHeader(1)) as ChangeCodec).schema).toEqual(ORDERS);
    expect(await schemas.rows(2)).toEqual(ORDERS);
    await expect(schemas.rows(3)).rejects.toMatchObject({ kind: 'newer-version' });
  });

  it.each<[string, () => string]>([
    ['an envelope', () => codec.avro.replace('"rowless"', '"rowlessness"')],
    ['rows', () => rowBlockSchemaJson(ORDERS).replace('_nanosync_attempt', '_nanosync_try')],
    ['a record', () => CONTROL_EVENT.schema.replace('ControlEvent', 'Heartbeat')],
  ])('do not hide that a newer version wrote %s of another form', async (_, written) => {
    const schemas = await MessageSchemas.open(registryOf(written()), {});
    await expect((async () => schemas.changes(wireHeader(0)))()).rejects.toMatchObject({ kind: 'newer-version' });
  });
});
