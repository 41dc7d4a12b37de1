/** The bus partition of a key: Kafka's default partitioner (murmur2), so that other producers and consumers agree. */
export function busPartitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}

/** Austin Appleby's MurmurHash2, 32 bits, with Kafka's seed, as `org.apache.kafka.common.utils.Utils.murmur2` computes it. */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995;
  let hash = 0x9747b28c ^ data.length;
  const whole = data.length & ~3;
  for (let at = 0; at < whole; at += 4) {
    let k = byteAt(data, at) | (byteAt(data, at + 1) << 8) | (byteAt(data, at + 2) << 16) | (byteAt(data, at + 3) << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    hash = Math.imul(hash, m) ^ Math.imul(k, m);
  }
  const rest = data.length - whole;
  if (rest > 2) hash ^= byteAt(data, whole + 2) << 16;
  if (rest > 1) hash ^= byteAt(data, whole + 1) << 8;
  if (rest > 0) hash = Math.imul(hash ^ byteAt(data, whole), m);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, m);
  return hash ^ (hash >>> 15);
}

function byteAt(data: Uint8Array, at: number): number {
  return data[at] as number;
}
