import { expect, test } from 'vitest';
import { busPartitionOf, murmur2 } from './bus-partition.ts';

// Expected values: Apache Kafka's own test of Utils.murmur2.
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('murmur2 of %s is what Kafka computes', (text, expected) => {
  expect(murmur2(Buffer.from(text))).toBe(expected);
  expect(busPartitionOf(Buffer.from(text), 7)).toBe((expected & 0x7fffffff) % 7);
});
