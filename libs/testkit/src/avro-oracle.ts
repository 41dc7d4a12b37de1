import avsc from 'avsc';

/** A `long` that keeps all 64 bits, as bigint. */
const LONG = avsc.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

/** A long may be named alone or with attributes beside it; both get all their bits. */
function longHook(schema: unknown): avsc.Type | undefined {
  const name = typeof schema === 'object' && schema !== null ? (schema as { readonly type?: unknown }).type : schema;
  return name === 'long' ? LONG : undefined;
}

/** Reads Avro values by another implementation than ours, to prove that ours is Avro. Longs come as bigint; unions unwrapped. */
export function avroOracle(schema: string): { readonly decodeAll: (bytes: Uint8Array) => unknown[] } {
  const type = avsc.Type.forSchema(JSON.parse(schema), { typeHook: longHook, wrapUnions: false });
  return {
    decodeAll: (bytes) => {
      const buffer = Buffer.from(bytes);
      const values: unknown[] = [];
      for (let offset = 0; offset < buffer.length; ) {
        const decoded = type.decode(buffer, offset);
        if (decoded.offset < 0) throw new Error('the bytes end within a value');
        values.push(decoded.value);
        offset = decoded.offset;
      }
      return values;
    },
  };
}
