/** Reads the fields of the rarer messages one after the other, never past the message's end. */
export class MessageFields {
  private readonly source: Buffer;
  private at: number;
  private readonly end: number;

  constructor(source: Buffer, at: number, end: number) {
    this.source = source;
    this.at = at;
    this.end = end;
  }

  uint8(): number {
    return this.source.readUInt8(this.step(1));
  }

  uint16(): number {
    return this.source.readUInt16BE(this.step(2));
  }

  uint32(): number {
    return this.source.readUInt32BE(this.step(4));
  }

  uint64(): bigint {
    return this.source.readBigUInt64BE(this.step(8));
  }

  text(): string {
    const stop = this.source.indexOf(0, this.at);
    if (stop < 0 || stop >= this.end) throw new RangeError('a text of the stream has no end');
    const from = this.step(stop + 1 - this.at);
    return this.source.toString('utf8', from, stop);
  }

  bytes(length: number): Buffer {
    const from = this.step(length);
    return this.source.subarray(from, from + length);
  }

  private step(count: number): number {
    const from = this.at;
    if (from + count > this.end) throw new RangeError('a message of the stream ends before its time');
    this.at += count;
    return from;
  }
}
