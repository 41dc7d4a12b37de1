/**
 * Writes Avro's binary encoding (Apache Avro 1.12 specification, "Binary Encoding") into one growing buffer.
 * Hand-written because it is the hot path and because rows need 64-bit longs without loss.
 */
export class AvroWriter {
  private bytes: Buffer;
  private at = 0;

  constructor(initialSize = 64 * 1024) {
    this.bytes = Buffer.allocUnsafe(initialSize);
  }

  /** Bytes written since the last reset. */
  get length(): number {
    return this.at;
  }

  /** Forgets what was written and keeps the memory. */
  reset(): void {
    this.at = 0;
  }

  /** Drops everything after `length`, for a row that turned out not to fit. */
  truncate(length: number): void {
    this.at = length;
  }

  /** The written bytes, valid until the next write or reset. */
  view(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  /** The written bytes as a copy of their own. */
  copy(): Buffer {
    return Buffer.from(this.view());
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.at++] = value;
  }

  boolean(value: boolean): void {
    this.byte(value ? 1 : 0);
  }

  /** An int or a long whose value is a safe integer of at most 53 bits. */
  int(value: number): void {
    if (value >= -1_073_741_824 && value <= 1_073_741_823) this.varint32(((value << 1) ^ (value >> 31)) >>> 0);
    else this.long(Math.floor(value / 4_294_967_296), value >>> 0);
  }

  /** A long given as its signed high and unsigned low 32 bits. */
  long(high: number, low: number): void {
    this.reserve(10);
    const sign = high >> 31;
    let hi = (((high << 1) | (low >>> 31)) ^ sign) >>> 0;
    let lo = ((low << 1) ^ sign) >>> 0;
    const { bytes } = this;
    let { at } = this;
    while (hi !== 0) {
      bytes[at++] = (lo & 0x7f) | 0x80;
      lo = ((lo >>> 7) | (hi << 25)) >>> 0;
      hi >>>= 7;
    }
    while (lo > 0x7f) {
      bytes[at++] = (lo & 0x7f) | 0x80;
      lo >>>= 7;
    }
    bytes[at++] = lo;
    this.at = at;
  }

  bigint(value: bigint): void {
    this.long(Number(BigInt.asIntN(32, value >> 32n)), Number(value & 0xffff_ffffn));
  }

  double(value: number): void {
    this.reserve(8);
    this.bytes.writeDoubleLE(value, this.at);
    this.at += 8;
  }

  /** Length-prefixed bytes: Avro's `bytes`, and `string` when they are UTF-8. */
  lengthPrefixed(source: Uint8Array, start = 0, end = source.length): void {
    const length = end - start;
    this.int(length);
    this.reserve(length);
    this.bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), this.at);
    this.at += length;
  }

  string(value: string): void {
    const length = Buffer.byteLength(value, 'utf8');
    this.int(length);
    this.reserve(length);
    this.at += this.bytes.write(value, this.at, length, 'utf8');
  }

  /** Bytes as they are, without a length. */
  raw(source: Uint8Array): void {
    this.reserve(source.length);
    this.bytes.set(source, this.at);
    this.at += source.length;
  }

  private varint32(value: number): void {
    this.reserve(5);
    let rest = value;
    while (rest > 0x7f) {
      this.bytes[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.at++] = rest;
  }

  private reserve(count: number): void {
    if (this.at + count <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + count));
    this.bytes.copy(grown, 0, 0, this.at);
    this.bytes = grown;
  }
}
