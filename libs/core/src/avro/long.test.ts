import { expect, test } from 'vitest';
import { AvroReader } from './reader.ts';
import { AvroWriter } from './writer.ts';

const EDGES = [0, 1, 63, 64, 2 ** 30 - 1, 2 ** 30, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 52 - 1, 2 ** 52, Number.MAX_SAFE_INTEGER];

test('every safe integer is read as it was written, and as a bigint', () => {
  for (const value of EDGES.flatMap((edge) => [edge, -edge, -edge - (edge < Number.MAX_SAFE_INTEGER ? 1 : 0)])) {
    const writer = new AvroWriter();
    writer.int(value);
    expect(new AvroReader(writer.copy()).int()).toBe(value === 0 ? 0 : value);
    expect(new AvroReader(writer.copy()).bigint()).toBe(BigInt(value));
  }
});

test('a long beyond 53 bits is refused as a number and exact as a bigint', () => {
  for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)]) {
    const writer = new AvroWriter();
    writer.bigint(value);
    expect(() => new AvroReader(writer.copy()).int()).toThrow(RangeError);
    expect(new AvroReader(writer.copy()).bigint()).toBe(value);
  }
});
