import { hash } from 'node:crypto';

/** 32-bit words of a row's hash. */
const WORDS = 4;

/** The hash of a row's bytes: 128 bits of SHA-1, as text of 16 latin1 characters. */
export function rowHash(bytes: Uint8Array): Buffer {
  return hash('sha1', bytes, 'buffer').subarray(0, WORDS * 4);
}

/** A number below 2^32 that spreads keys over buckets (FNV-1a with a last mix). */
export function keySpread(key: string): number {
  let spread = 0x811c_9dc5;
  for (let at = 0; at < key.length; at++) spread = Math.imul(spread ^ key.charCodeAt(at), 0x0100_0193);
  spread = Math.imul(spread ^ (spread >>> 16), 0x85eb_ca6b);
  spread = Math.imul(spread ^ (spread >>> 13), 0xc2b2_ae35);
  return (spread ^ (spread >>> 16)) >>> 0;
}

const MOST_BUCKETS = 2 ** 20;
const LEAST_BUCKETS = 2 ** 8;

/**
 * What both sides of a table amount to, by bucket of keys: the difference of the sums of their rows' hashes, and how many rows each has. A bucket
 * whose rows are the same on both sides is all zero, and, but for one chance in 2^128, no other. Memory is bounded: at most a million buckets of 24 bytes.
 */
export class Digests {
  readonly buckets: number;
  private readonly sums: Int32Array;
  private readonly rows: readonly [Uint32Array, Uint32Array];

  constructor(rows: number) {
    let buckets = LEAST_BUCKETS;
    while (buckets < rows && buckets < MOST_BUCKETS) buckets *= 2;
    this.buckets = buckets;
    this.sums = new Int32Array(buckets * WORDS);
    this.rows = [new Uint32Array(buckets), new Uint32Array(buckets)];
  }

  /** The bucket of a key. */
  bucketOf(key: string): number {
    return keySpread(key) & (this.buckets - 1);
  }

  /** Counts a row of the source (side 0) or the sink (side 1). */
  add(side: 0 | 1, key: string, bytes: Buffer): void {
    const bucket = this.bucketOf(key);
    const { sums } = this;
    const words = rowHash(bytes);
    // A sum of 128 bits, with carries, forth for one side and back for the other.
    let carry = side;
    for (let word = 0; word < WORDS; word++) {
      const value = words.readUInt32LE(word * 4);
      const at = bucket * WORDS + word;
      const sum = ((sums[at] as number) >>> 0) + (side === 0 ? value : ~value >>> 0) + carry;
      sums[at] = sum | 0;
      carry = sum > 0xffff_ffff ? 1 : 0;
    }
    const counts = this.rows[side];
    counts[bucket] = (counts[bucket] as number) + 1;
  }

  /** The buckets whose rows differ, with how many rows the fuller side has. */
  *differing(): Generator<{ readonly bucket: number; readonly rows: number }> {
    const [source, sink] = this.rows;
    for (let bucket = 0; bucket < this.buckets; bucket++) {
      const [ours, theirs] = [source[bucket] as number, sink[bucket] as number];
      if (ours !== theirs || this.isUneven(bucket)) yield { bucket, rows: Math.max(ours, theirs) };
    }
  }

  private isUneven(bucket: number): boolean {
    for (let word = 0; word < WORDS; word++) if (this.sums[bucket * WORDS + word] !== 0) return true;
    return false;
  }
}
