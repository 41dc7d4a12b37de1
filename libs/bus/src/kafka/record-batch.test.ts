import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c } from './crc32c.ts';
import { batchBytes, decodeBatches, encodeBatch, maxMessageBytes } from './record-batch.ts';

const messagesOf = (sizes: readonly (readonly [number, number])[]) =>
  sizes.map(([key, value]) => ({ key: randomBytes(key), value: randomBytes(value) }));

/** A batch as a broker gives it back: with its offset. */
function at(bytes: Buffer, offset: number): Buffer {
  const stored = Buffer.from(bytes);
  stored.writeBigInt64BE(BigInt(offset), 0);
  return stored;
}

test('the checksum is the one that Castagnoli’s is known by', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(0))).toBe(0);
  expect(crc32c(Buffer.from('123456789'))).not.toBe(crc32(Buffer.from('123456789')));
});

test('what is encoded is decoded again, plain and compressed, from any offset on', async () => {
  const size = fc.integer({ min: 0, max: 300 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(size, size), { minLength: 1, maxLength: 40 }), fc.boolean(), async (sizes, compress) => {
      const messages = messagesOf(sizes).map(({ key, value }) => ({ key, value: compress ? Buffer.alloc(value.length, 7) : value }));
      const encoded = await encodeBatch(messages, 1_700_000_000_123, compress);
      expect(encoded.bytes.length).toBeLessThanOrEqual(batchBytes(messages));
      const from = 1000 + Math.floor(messages.length / 2);
      const decoded = await decodeBatches(at(encoded.bytes, 1000), from);
      expect(decoded).toEqual(
        messages
          .map((message, index) => ({ ...message, offset: 1000 + index, timestampMs: 1_700_000_000_123 }))
          .filter(({ offset }) => offset >= from),
      );
    }),
  );
});

test('a message of the greatest size just fits', async () => {
  const limit = 100_000;
  const value = Buffer.alloc(maxMessageBytes(limit) - 3, 1);
  const message = { key: Buffer.from('abc'), value };
  expect(batchBytes([message])).toBe(limit);
  expect((await encodeBatch([message], 1, false)).bytes.length).toBeLessThanOrEqual(limit);
});

test('a batch that is cut off at the end of an answer is left out; one that was changed is a gap', async () => {
  const [first, second] = [await encodeBatch(messagesOf([[1, 50]]), 1, false), await encodeBatch(messagesOf([[1, 60]]), 1, false)];
  const answer = Buffer.concat([at(first.bytes, 0), at(second.bytes, 1)]);
  for (const cut of [0, 10, 60, 61, first.bytes.length - 1]) expect(await decodeBatches(answer.subarray(0, cut), 0)).toHaveLength(0);
  expect(await decodeBatches(answer.subarray(0, answer.length - 1), 0)).toHaveLength(1);
  expect(await decodeBatches(answer, 0)).toHaveLength(2);
  answer.writeUInt8((answer[80] as number) ^ 1, 80);
  await expect(decodeBatches(answer, 0)).rejects.toMatchObject({ kind: 'gap' });
});
