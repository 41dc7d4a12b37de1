/** Reads Avro's binary encoding from one buffer, front to back. Throws RangeError past the end. */
export class AvroReader {
  readonly bytes: Buffer;
  /** Next byte to read. */
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  /** True when every byte has been read. */
  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  byte(): number {
    const value = this.bytes[this.at++];
    if (value === undefined) throw new RangeError('an Avro value ends before its time');
    return value;
  }

  boolean(): boolean {
    return this.byte() !== 0;
  }

  /** An int, or a long that fits 53 bits; throws RangeError when it does not. */
  int(): number {
    const start = this.at;
    let value = 0;
    let factor = 1;
    let part: number;
    do {
      part = this.byte();
      value += (part & 0x7f) * factor;
      factor *= 128;
    } while (part & 0x80);
    if (value > Number.MAX_SAFE_INTEGER) return this.wide(start);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** The long at this place again: its zigzag form alone needs more than 53 bits. */
  private wide(start: number): number {
    this.at = start;
    const value = Number(this.bigint());
    if (!Number.isSafeInteger(value)) throw new RangeError('an Avro long does not fit 53 bits');
    return value;
  }

  bigint(): bigint {
    let value = 0n;
    let shift = 0n;
    let part: number;
    do {
      part = this.byte();
      value |= BigInt(part & 0x7f) << shift;
      shift += 7n;
    } while (part & 0x80);
    return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n));
  }

  double(): number {
    const value = this.bytes.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }

  /** Length-prefixed bytes as a view into the buffer. */
  lengthPrefixed(): Buffer {
    return this.raw(this.int());
  }

  string(): string {
    const length = this.int();
    const start = this.at;
    this.skip(length);
    return this.bytes.toString('utf8', start, this.at);
  }

  /** The next `length` bytes as a view into the buffer. */
  raw(length: number): Buffer {
    const start = this.at;
    this.skip(length);
    return this.bytes.subarray(start, this.at);
  }

  private skip(length: number): void {
    if (length < 0 || this.at + length > this.bytes.length) throw new RangeError('an Avro value ends before its time');
    this.at += length;
  }
}
