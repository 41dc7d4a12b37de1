import { NULL_BRANCH, PipelineError } from '@nanosync/core';
import {
  encodeBool,
  encodeBytes,
  encodeDate,
  encodeDouble,
  encodeInt16,
  encodeInt32,
  encodeInt64,
  encodeJsonb,
  encodeNumeric,
  encodeTimestamp,
  encodeUuid,
  int32At,
  REJECT,
  rejectReason,
} from './cell-encoder.ts';
import { AS_HASH, AS_NUMERIC, encodingOf, WIDTH } from './column-encoding.ts';
import type { Hasher } from './hasher.ts';
import { UNKEYED } from './hasher.ts';
import type { StoredColumn } from './storage.ts';

/** What the encoder makes of the stream: a full block of Avro rows, not yet compressed, or a row that has no Avro form. */
export type EncodedOutput = EncodedRows | { readonly kind: 'rejected'; readonly reason: string; readonly payload: Buffer };

/** A full block; `memory` is what `bytes` lies in, to be recycled. */
export interface EncodedRows {
  readonly kind: 'rows';
  readonly rows: number;
  readonly bytes: Buffer;
  readonly memory: Buffer;
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const HEADER_BYTES = SIGNATURE.length + 8;

/** No cell's Avro form is longer than twice its binary form (a uuid: 16 to 38) plus this; that of a hash is 67 bytes, whatever it stands for. */
const MAX_GROWTH = 16;
const HASH_GROWTH = 68;

/** Results of looking for the end of the row that begins here. */
const INCOMPLETE = -1;
const TRAILER = -2;

/**
 * Turns PostgreSQL's binary COPY stream, cut anywhere, into blocks of Avro rows near `targetBytes` each. Bytes go straight
 * from the stream into the block; memory is one row and one block, whatever the stream's length.
 */
export class RowEncoder {
  private readonly columns: readonly StoredColumn[];
  private readonly hasher: Hasher;
  private readonly encodings: Int32Array;
  private readonly scales: Int32Array;
  /** The bytes that a row can take beyond twice its binary form. */
  private readonly growth: number;
  private readonly targetBytes: number;
  private readonly origin: Uint8Array;
  /** Bytes of the stream not yet encoded: `input[inputAt, inputEnd)`. */
  private input = Buffer.allocUnsafe(256 * 1024);
  private inputAt = 0;
  private inputEnd = 0;
  private output: Buffer;
  private outputAt = 0;
  private rowsInBlock = 0;
  private headerRead = false;
  private trailerRead = false;
  private readonly spare: Buffer[] = [];
  /** Rows met so far, rejected ones included. */
  rows = 0;

  /** `origin` are encoded bytes that every row begins with. */
  constructor(columns: readonly StoredColumn[], targetBytes: number, origin: Uint8Array, hasher: Hasher = UNKEYED) {
    this.columns = columns;
    this.hasher = hasher;
    this.origin = origin;
    this.targetBytes = targetBytes;
    this.encodings = Int32Array.from(columns, encodingOf);
    this.growth = this.encodings.reduce((sum, encoding) => sum + (encoding === AS_HASH ? HASH_GROWTH : MAX_GROWTH), 0);
    this.scales = Int32Array.from(columns, ({ type }) => (type.kind === 'decimal' ? type.scale : 0));
    this.output = Buffer.allocUnsafe(targetBytes + 16 * 1024);
  }

  /** Takes the next bytes of the stream and adds what they complete to `outputs`. */
  push(chunk: Uint8Array, outputs: EncodedOutput[]): void {
    this.append(chunk);
    if (!this.headerRead && !this.readHeader()) return;
    while (!this.trailerRead) {
      const end = this.rowEnd();
      if (end === INCOMPLETE) return;
      if (end === TRAILER) this.trailerRead = true;
      else this.encodeRow(end, outputs);
    }
    if (this.inputEnd > this.inputAt) throw malformed('bytes follow its trailer');
  }

  /** Ends the stream: the last block. Throws when the stream was cut off. */
  finish(outputs: EncodedOutput[]): void {
    if (!this.trailerRead) throw new PipelineError('unavailable', 'PostgreSQL ended a COPY before its trailer.');
    if (this.rowsInBlock > 0) this.emit(this.outputAt, this.rowsInBlock, outputs);
  }

  /** Gives a block's memory back once nobody looks at it. */
  recycle({ memory }: EncodedRows): void {
    if (this.spare.length < 3 && memory.length <= 2 * this.targetBytes) this.spare.push(memory);
  }

  private append(chunk: Uint8Array): void {
    const rest = this.inputEnd - this.inputAt;
    if (this.inputEnd + chunk.length > this.input.length) {
      const needed = rest + chunk.length;
      const target = needed > this.input.length ? Buffer.allocUnsafe(Math.max(needed, this.input.length * 2)) : this.input;
      this.input.copy(target, 0, this.inputAt, this.inputEnd);
      this.input = target;
      this.inputAt = 0;
      this.inputEnd = rest;
    }
    this.input.set(chunk, this.inputEnd);
    this.inputEnd += chunk.length;
  }

  private readHeader(): boolean {
    const available = this.inputEnd - this.inputAt;
    if (available < HEADER_BYTES) return false;
    if (this.input.compare(SIGNATURE, 0, SIGNATURE.length, 0, SIGNATURE.length) !== 0) throw malformed('it lacks the signature');
    const extension = int32At(this.input, SIGNATURE.length + 4);
    if (extension !== 0) throw malformed('it has a header extension');
    this.inputAt = HEADER_BYTES;
    this.headerRead = true;
    return true;
  }

  /** Where the row that begins at `inputAt` ends. */
  private rowEnd(): number {
    const { input, inputEnd } = this;
    let at = this.inputAt;
    if (at + 2 > inputEnd) return INCOMPLETE;
    const count = ((input[at] as number) << 8) | (input[at + 1] as number);
    at += 2;
    if (count === 0xffff) {
      this.inputAt = at;
      return TRAILER;
    }
    if (count !== this.encodings.length) throw malformed(`a row has ${count} fields instead of ${this.encodings.length}`);
    for (let field = 0; field < count; field++) {
      if (at + 4 > inputEnd) return INCOMPLETE;
      const length = int32At(input, at);
      at += length > 0 ? 4 + length : 4;
    }
    return at > inputEnd ? INCOMPLETE : at;
  }

  private encodeRow(end: number, outputs: EncodedOutput[]): void {
    const start = this.outputAt;
    this.reserve(this.origin.length + 2 * (end - this.inputAt) + this.growth);
    const at = this.inputAt;
    const failed = this.encodeCells(at + 2);
    this.inputAt = end;
    this.rows++;
    if (failed !== undefined) {
      this.outputAt = start;
      outputs.push({ kind: 'rejected', reason: failed, payload: Buffer.from(this.input.subarray(at, end)) });
      return;
    }
    this.rowsInBlock++;
    if (this.outputAt >= this.targetBytes) this.cut(start, outputs);
  }

  /** Encodes one row's cells behind what the block holds; the reason when a cell has no Avro form. */
  private encodeCells(first: number): string | undefined {
    const { input, output, encodings, origin } = this;
    let at = first;
    let to = this.outputAt;
    for (let index = 0; index < origin.length; index++) output[to++] = origin[index] as number;
    for (let field = 0; field < encodings.length; field++) {
      const length = int32At(input, at);
      at += 4;
      if (length < 0) {
        output[to++] = NULL_BRANCH;
        continue;
      }
      to = this.encodeCell(field, at, length, to);
      if (to < 0) return `Column ${this.columns[field]?.name}: ${rejectReason(to)}.`;
      at += length;
    }
    this.outputAt = to;
    return undefined;
  }

  private encodeCell(field: number, at: number, length: number, to: number): number {
    const { input, output } = this;
    const encoding = this.encodings[field] as number;
    const width = WIDTH[encoding] as number;
    if (width !== 0 && width !== length) return REJECT.malformed;
    switch (encoding) {
      case 1:
        return encodeBool(input, at, output, to);
      case 2:
        return encodeInt16(input, at, output, to);
      case 3:
        return encodeInt32(input, at, output, to);
      case 4:
        return encodeInt64(input, at, output, to);
      case 5:
        return encodeDate(input, at, output, to);
      case 6:
        return encodeTimestamp(input, at, output, to);
      case 7:
        return encodeDouble(input, at, output, to);
      case 8:
        return encodeUuid(input, at, output, to);
      case 9:
        return encodeJsonb(input, at, length, output, to);
      case AS_NUMERIC:
        return encodeNumeric(input, at, length, this.scales[field] as number, output, to);
      case AS_HASH: {
        const hash = Buffer.from(this.hasher.hash(input, at, at + length), 'latin1');
        return encodeBytes(hash, 0, hash.length, output, to);
      }
      default:
        return encodeBytes(input, at, length, output, to);
    }
  }

  /** Ends the block: before the row that begins at `start` when that row made it too large, else after it. */
  private cut(start: number, outputs: EncodedOutput[]): void {
    const before = this.rowsInBlock - 1;
    if (before === 0 || this.outputAt === this.targetBytes) return this.emit(this.outputAt, this.rowsInBlock, outputs);
    const full = this.output;
    const end = this.outputAt;
    this.emit(start, before, outputs);
    this.reserve(end - start);
    full.copy(this.output, 0, start, end);
    this.outputAt = end - start;
    this.rowsInBlock = 1;
    if (this.outputAt >= this.targetBytes) this.emit(this.outputAt, 1, outputs);
  }

  private emit(length: number, rows: number, outputs: EncodedOutput[]): void {
    outputs.push({ kind: 'rows', rows, bytes: this.output.subarray(0, length), memory: this.output });
    this.output = this.spare.pop() ?? Buffer.allocUnsafe(this.targetBytes + 16 * 1024);
    this.outputAt = 0;
    this.rowsInBlock = 0;
  }

  private reserve(count: number): void {
    if (this.outputAt + count <= this.output.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.output.length * 2, this.outputAt + count));
    this.output.copy(grown, 0, 0, this.outputAt);
    this.output = grown;
  }
}

function malformed(what: string): PipelineError {
  return new PipelineError('defect', `PostgreSQL's COPY stream cannot be read: ${what}.`);
}
