import type { ColumnType } from '@nanosync/core';
import type { CellReader } from './cell-readers.ts';
import { readerOf } from './cell-readers.ts';

/** Rows of a DuckDB vector. */
export const VECTOR_ROWS = 2048;

/** Strings up to this length stand inside the 16 bytes of DuckDB's `duckdb_string_t`; of longer ones only four bytes and a pointer. */
const INLINE_LENGTH = 12;
/** One vector's worth of a column in DuckDB's own memory layout, filled straight from Avro bytes. */
export class ColumnBuffer {
  readonly width: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly halves: Int32Array;
  readonly shorts: Int16Array;
  readonly doubles: Float64Array;
  /** One bit a row, set where there is a value; all set between chunks. */
  readonly validity = new Uint8Array(VECTOR_ROWS / 8).fill(0xff);
  hasNull = false;
  /** Native address of the block's first byte, where long strings point; in halves, to add offsets without a BigInt. */
  private addressLow = 0;
  private addressHigh = 0;
  readonly read: CellReader;
  /** 10^precision of a decimal as four 32-bit words, least significant first. */
  readonly limit: Uint32Array;
  /** Decimals of at most this many bytes cannot exceed the limit. */
  readonly safeLength: number;
  readonly words = new Uint32Array(4);

  constructor(type: ColumnType) {
    this.width = widthOf(type);
    this.bytes = new Uint8Array(VECTOR_ROWS * this.width);
    this.halves = new Int32Array(this.bytes.buffer, 0, this.bytes.length >> 2);
    this.shorts = new Int16Array(this.bytes.buffer, 0, this.bytes.length >> 1);
    this.doubles = new Float64Array(this.bytes.buffer, 0, this.bytes.length >> 3);
    this.read = readerOf(type);
    const limit = type.kind === 'decimal' ? 10n ** BigInt(type.precision) : 0n;
    this.limit = Uint32Array.from([0n, 32n, 64n, 96n], (shift) => Number((limit >> shift) & 0xffff_ffffn));
    this.safeLength = type.kind === 'decimal' ? Math.floor(limit.toString(2).length / 8) : 0;
  }

  /** Where the long strings of the next rows are. */
  point(address: bigint): void {
    this.addressLow = Number(address & 0xffff_ffffn);
    this.addressHigh = Number(address >> 32n);
  }

  setNull(row: number): void {
    this.validity[row >> 3] = (this.validity[row >> 3] as number) & ~(1 << (row & 7));
    this.hasNull = true;
  }

  setValid(row: number): void {
    this.validity[row >> 3] = (this.validity[row >> 3] as number) | (1 << (row & 7));
  }

  /** Makes the buffer ready for the next chunk. */
  reset(): void {
    if (this.hasNull) this.validity.fill(0xff);
    this.hasNull = false;
  }

  /** Lays out a string of the block at `start`: inline when short, else a pointer into the block. */
  setString(row: number, source: Uint8Array, start: number, length: number): void {
    const { halves, bytes } = this;
    const slot = row << 2;
    halves[slot] = length;
    if (length <= INLINE_LENGTH) {
      halves[slot + 1] = 0;
      halves[slot + 2] = 0;
      halves[slot + 3] = 0;
      const at = (row << 4) + 4;
      for (let index = 0; index < length; index++) bytes[at + index] = source[start + index] as number;
      return;
    }
    halves[slot + 1] =
      (source[start] as number) |
      ((source[start + 1] as number) << 8) |
      ((source[start + 2] as number) << 16) |
      ((source[start + 3] as number) << 24);
    const low = this.addressLow + start;
    halves[slot + 2] = low | 0;
    halves[slot + 3] = (this.addressHigh + (low > 0xffff_ffff ? 1 : 0)) | 0;
  }
}

function widthOf(type: ColumnType): number {
  switch (type.kind) {
    case 'bool':
      return 1;
    case 'int16':
      return 2;
    case 'int32':
    case 'date':
      return 4;
    case 'int64':
    case 'float64':
    case 'time':
    case 'timestamp':
      return 8;
    case 'decimal':
      return type.precision <= 4 ? 2 : type.precision <= 9 ? 4 : type.precision <= 18 ? 8 : 16;
    case 'text':
    case 'json':
    case 'uuid':
    case 'bytes':
      return 16;
  }
}
