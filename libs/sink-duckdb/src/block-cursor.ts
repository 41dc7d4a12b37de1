/**
 * Reads Avro's binary encoding without making a JavaScript value of what it reads: a long becomes two 32-bit halves. Part of
 * the bulk path, hence apart from core's reader.
 */
export class BlockCursor {
  bytes: Uint8Array = new Uint8Array(0);
  /** Next byte to read. */
  at = 0;
  /** The last long: signed low and high halves. */
  low = 0;
  high = 0;

  /** Begins a block. */
  open(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.at = 0;
  }

  byte(): number {
    const value = this.bytes[this.at++];
    if (value === undefined) throw new RangeError('a row block ends before its time');
    return value;
  }

  /** Passes over bytes that must be exactly these. */
  skip(expected: Uint8Array): void {
    const { bytes, at } = this;
    for (let index = 0; index < expected.length; index++)
      if (bytes[at + index] !== expected[index]) throw new RangeError('a row block holds a row of another read');
    this.at = at + expected.length;
  }

  /** Reads a long into `low` and `high`. */
  long(): void {
    let part = this.byte();
    if (part < 0x80) {
      this.low = (part >>> 1) ^ -(part & 1);
      this.high = this.low >> 31;
      return;
    }
    let bottom = part & 0x7f;
    let middle = 0;
    let top = 0;
    let shift = 7;
    do {
      part = this.byte();
      if (shift < 28) bottom |= (part & 0x7f) << shift;
      else if (shift < 56) middle |= (part & 0x7f) << (shift - 28);
      else top |= (part & 0x7f) << (shift - 56);
      shift += 7;
    } while (part >= 0x80 && shift < 70);
    const low = bottom | (middle << 28);
    const high = (middle >>> 4) | (top << 24);
    const sign = -(low & 1);
    this.low = ((low >>> 1) | (high << 31)) ^ sign;
    this.high = (high >>> 1) ^ sign;
  }

  /** Reads the length of what follows and returns it, with `at` at its first byte. */
  length(): number {
    this.long();
    if (this.high !== 0 || this.low < 0 || this.at + this.low > this.bytes.length) throw new RangeError('a row block ends before its time');
    return this.low;
  }
}
