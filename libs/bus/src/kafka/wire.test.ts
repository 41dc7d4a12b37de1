import { expect, test } from 'vitest';
import { WireReader, WireWriter } from './wire.ts';

test('numbers and texts come back as written', () => {
  const written = new WireWriter(1).uvarint(300).int64(-5).compactString('ä').string(null).noTags();
  const reader = new WireReader(Buffer.from(written.buffer));
  expect([reader.uvarint(), reader.int64(), reader.compactString(), reader.string()]).toEqual([300, -5, 'ä', '']);
  reader.tags();
});

test('an answer that ends early is refused wherever it ends', () => {
  const whole = Buffer.from(new WireWriter().uvarint(300).compactString('abc').int64(7).buffer);
  for (let length = 0; length < whole.length; length++) {
    const reader = new WireReader(whole.subarray(0, length));
    expect(() => [reader.uvarint(), reader.compactString(), reader.int64()], `${length}`).toThrow(RangeError);
  }
});
