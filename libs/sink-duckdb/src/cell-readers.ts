import { isUtf8 } from 'node:buffer';
import type { ColumnType } from '@nanosync/core';
import type { BlockCursor } from './block-cursor.ts';
import type { ColumnBuffer } from './column-buffer.ts';
import { DAY_MICROS, MIN_TIMESTAMP, NOT_A_UUID, NOT_UTF8, OUT_OF_RANGE } from './limits.ts';

const INT64_MIN_TIMESTAMP_HIGH = Number(MIN_TIMESTAMP >> 32n);
const INT64_MIN_TIMESTAMP_LOW = Number(BigInt.asUintN(32, MIN_TIMESTAMP));
const DAY_HIGH = Math.floor(DAY_MICROS / 4_294_967_296);
const DAY_LOW = DAY_MICROS % 4_294_967_296;

/** Reads a cell into a row's slot; returns why the type cannot hold it, with the cursor behind it all the same. */
export type CellReader = (buffer: ColumnBuffer, cursor: BlockCursor, row: number) => string | undefined;

/** How the cells of a kind are read, resolved once per appender. */
export function readerOf(type: ColumnType): CellReader {
  switch (type.kind) {
    case 'bool':
      return readBool;
    case 'int16':
      return readInt16;
    case 'int32':
      return readInt32;
    case 'date':
      return readDate;
    case 'int64':
      return readInt64;
    case 'time':
      return readTime;
    case 'timestamp':
      return readTimestamp;
    case 'float64':
      return readDouble;
    case 'decimal':
      return readDecimal;
    case 'text':
    case 'json':
      return readText;
    case 'bytes':
      return readBytes;
    case 'uuid':
      return readUuid;
  }
}

const readBool: CellReader = (buffer, cursor, row) => {
  buffer.bytes[row] = cursor.byte() === 0 ? 0 : 1;
  return undefined;
};

const readInt16: CellReader = (buffer, cursor, row) => {
  cursor.long();
  buffer.shorts[row] = cursor.low;
  return cursor.high === cursor.low >> 31 && (cursor.low << 16) >> 16 === cursor.low ? undefined : OUT_OF_RANGE;
};

const readInt32: CellReader = (buffer, cursor, row) => {
  cursor.long();
  buffer.halves[row] = cursor.low;
  return cursor.high === cursor.low >> 31 ? undefined : OUT_OF_RANGE;
};

const readDate: CellReader = (buffer, cursor, row) => {
  const reason = readInt32(buffer, cursor, row);
  return cursor.low === -2_147_483_648 ? OUT_OF_RANGE : reason;
};

const readInt64: CellReader = (buffer, cursor, row) => {
  cursor.long();
  buffer.halves[row << 1] = cursor.low;
  buffer.halves[(row << 1) + 1] = cursor.high;
  return undefined;
};

const readTime: CellReader = (buffer, cursor, row) => {
  readInt64(buffer, cursor, row);
  const { high } = cursor;
  const low = cursor.low >>> 0;
  return high >= 0 && (high < DAY_HIGH || (high === DAY_HIGH && low <= DAY_LOW)) ? undefined : OUT_OF_RANGE;
};

const readTimestamp: CellReader = (buffer, cursor, row) => {
  readInt64(buffer, cursor, row);
  const { high } = cursor;
  const low = cursor.low >>> 0;
  if (high > INT64_MIN_TIMESTAMP_HIGH || (high === INT64_MIN_TIMESTAMP_HIGH && low >= INT64_MIN_TIMESTAMP_LOW)) return undefined;
  return high === -2_147_483_648 && low === 1 ? undefined : OUT_OF_RANGE;
};

const doubleBytes = new Uint8Array(8);
const doubleView = new DataView(doubleBytes.buffer);

const readDouble: CellReader = (buffer, cursor, row) => {
  if (cursor.at + 8 > cursor.bytes.length) throw new RangeError('a row block ends before its time');
  for (let index = 0; index < 8; index++) doubleBytes[index] = cursor.bytes[cursor.at + index] as number;
  buffer.doubles[row] = doubleView.getFloat64(0, true);
  cursor.at += 8;
  return undefined;
};

/** Big-endian two's complement of any length to little-endian of the column's width, checked against the precision. */
const readDecimal: CellReader = (buffer, cursor, row) => {
  const length = cursor.length();
  const { bytes } = cursor;
  const start = cursor.at;
  cursor.at += length;
  if (length > 16) return OUT_OF_RANGE;
  const negative = length > 0 && (bytes[start] as number) >= 0x80;
  if (length > buffer.safeLength && !belowLimit(buffer, bytes, start, length, negative)) return OUT_OF_RANGE;
  const at = row * buffer.width;
  const fill = negative ? 0xff : 0;
  for (let index = 0; index < buffer.width; index++)
    buffer.bytes[at + index] = index < length ? (bytes[start + length - 1 - index] as number) : fill;
  return undefined;
};

function belowLimit(buffer: ColumnBuffer, bytes: Uint8Array, start: number, length: number, negative: boolean): boolean {
  const { words, limit } = buffer;
  words.fill(negative ? 0xffff_ffff : 0);
  for (let index = 0; index < length; index++) {
    const shift = (index & 3) * 8;
    const word = words[index >> 2] as number;
    words[index >> 2] = (word & ~(0xff << shift)) | ((bytes[start + length - 1 - index] as number) << shift);
  }
  if (negative) {
    // The absolute value: invert and add one.
    let carry = 1;
    for (let index = 0; index < 4; index++) {
      const sum = (~(words[index] as number) >>> 0) + carry;
      words[index] = sum;
      carry = sum > 0xffff_ffff ? 1 : 0;
    }
  }
  for (let index = 3; index >= 0; index--) {
    const difference = (words[index] as number) - (limit[index] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

const readText: CellReader = (buffer, cursor, row) => {
  const length = cursor.length();
  const start = cursor.at;
  const { bytes } = cursor;
  cursor.at += length;
  buffer.setString(row, bytes, start, length);
  let seen = 0;
  // A native call costs more than looking at some tens of bytes; most text is ASCII.
  if (length <= 64) for (let index = start; index < cursor.at; index++) seen |= bytes[index] as number;
  else seen = 0x80;
  return seen < 0x80 || isUtf8(bytes.subarray(start, cursor.at)) ? undefined : NOT_UTF8;
};

const readBytes: CellReader = (buffer, cursor, row) => {
  const length = cursor.length();
  buffer.setString(row, cursor.bytes, cursor.at, length);
  cursor.at += length;
  return undefined;
};

const HEX = new Uint8Array(256).fill(0xff);
for (const [value, digit] of [...'0123456789abcdef'].entries()) {
  HEX[digit.charCodeAt(0)] = value;
  HEX[digit.toUpperCase().charCodeAt(0)] = value;
}
const DASH = 0x2d;

/** 36 characters to a 128-bit integer with its top bit flipped, as DuckDB orders UUIDs. */
const readUuid: CellReader = (buffer, cursor, row) => {
  const length = cursor.length();
  const { bytes } = cursor;
  let from = cursor.at;
  cursor.at += length;
  if (length !== 36) return NOT_A_UUID;
  let wrong = 0;
  const end = (row << 4) + 15;
  for (let index = 0; index < 16; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) wrong |= bytes[from++] === DASH ? 0 : 0xff;
    const high = HEX[bytes[from++] as number] as number;
    const low = HEX[bytes[from++] as number] as number;
    wrong |= high | low;
    buffer.bytes[end - index] = (high << 4) | low;
  }
  buffer.bytes[end] = (buffer.bytes[end] as number) ^ 0x80;
  return wrong > 15 ? NOT_A_UUID : undefined;
};
