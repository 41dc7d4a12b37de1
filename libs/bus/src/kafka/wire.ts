/** Writes numbers, texts and arrays as Kafka's protocol has them; `compact` forms are those of its flexible versions. */
export class WireWriter {
  #buffer: Buffer;
  #at = 0;

  constructor(size = 256) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  /** What was written; valid until the next write. */
  get buffer(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  /** The name under which kafkajs looks whether something is an encoder. */
  get buf(): Buffer {
    return this.#buffer;
  }

  size(): number {
    return this.#at;
  }

  int8(value: number): this {
    this.#at = this.#room(1).writeInt8(value, this.#at);
    return this;
  }

  int16(value: number): this {
    this.#at = this.#room(2).writeInt16BE(value, this.#at);
    return this;
  }

  int32(value: number): this {
    this.#at = this.#room(4).writeInt32BE(value, this.#at);
    return this;
  }

  int64(value: number): this {
    const high = Math.floor(value / 0x1_0000_0000);
    this.#at = this.#room(8).writeInt32BE(high, this.#at);
    this.#at = this.#buffer.writeUInt32BE(value - high * 0x1_0000_0000, this.#at);
    return this;
  }

  uvarint(value: number): this {
    let rest = value;
    const buffer = this.#room(6);
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) buffer[this.#at++] = (rest & 0x7f) | 0x80;
    buffer[this.#at++] = rest;
    return this;
  }

  /** A text, or null as length -1. */
  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const bytes = Buffer.from(value);
    return this.int16(bytes.length).raw(bytes);
  }

  compactString(value: string): this {
    const bytes = Buffer.from(value);
    return this.uvarint(bytes.length + 1).raw(bytes);
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length).set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  array<T>(values: readonly T[], write: (value: T) => void): this {
    this.int32(values.length);
    for (const value of values) write(value);
    return this;
  }

  compactArray<T>(values: readonly T[], write: (value: T) => void): this {
    this.uvarint(values.length + 1);
    for (const value of values) write(value);
    return this;
  }

  /** The end of a structure of a flexible version: no tagged fields. */
  noTags(): this {
    return this.int8(0);
  }

  #room(bytes: number): Buffer {
    if (this.#at + bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
      this.#buffer.copy(larger, 0, 0, this.#at);
      this.#buffer = larger;
    }
    return this.#buffer;
  }
}

/** Reads what {@link WireWriter} writes. */
export class WireReader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  int8(): number {
    return this.#buffer.readInt8(this.#move(1));
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#move(2));
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#move(4));
  }

  int64(): number {
    const at = this.#move(8);
    return this.#buffer.readInt32BE(at) * 0x1_0000_0000 + this.#buffer.readUInt32BE(at + 4);
  }

  uvarint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#buffer[this.#move(1)] as number; // Refuses to read on behind the end, which would never stop.
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }

  string(): string {
    const length = this.int16();
    return length < 0 ? '' : this.raw(length).toString();
  }

  /** A text; null reads as the empty text. */
  compactString(): string {
    const length = this.uvarint() - 1;
    return length < 0 ? '' : this.raw(length).toString();
  }

  /** Bytes, without a copy; null reads as none. */
  compactBytes(): Buffer {
    const length = this.uvarint() - 1;
    return this.raw(Math.max(0, length));
  }

  raw(length: number): Buffer {
    const at = this.#move(length);
    return this.#buffer.subarray(at, at + length);
  }

  array<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, read);
  }

  compactArray<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(0, this.uvarint() - 1) }, read);
  }

  /** Passes over the tagged fields at the end of a structure of a flexible version. */
  tags(): void {
    for (let left = this.uvarint(); left > 0; left--) {
      this.uvarint();
      this.#move(this.uvarint());
    }
  }

  #move(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.#at > this.#buffer.length) throw new RangeError('a broker answer ended early');
    return at;
  }
}
