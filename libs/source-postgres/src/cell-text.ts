import type { CellValue, ColumnType } from '@nanosync/core';
import { CellTextError } from './cell-text-error.ts';
import { dateFromText, timeFromText, timestampFromText } from './date-text.ts';

/** Turns a value in PostgreSQL's text form, as bytes `start` to `end`, into a cell; throws CellTextError when it does not fit. */
export type CellParser = (bytes: Buffer, start: number, end: number) => CellValue;

/** Digits that a double holds exactly. */
const EXACT_DIGITS = 15;
const ZERO = 48;
const NINE = 57;
const MINUS = 45;
const POINT = 46;

/**
 * The parser for a column. Values are parsed from the bytes, without a float for decimals, without Date, without local time;
 * it expects the settings that every connection carries (ISO dates, hexadecimal bytea, shortest floats).
 */
export function cellParser(type: ColumnType): CellParser {
  switch (type.kind) {
    case 'bool':
      return boolFromText;
    case 'int16':
    case 'int32':
      return intFromText;
    case 'int64':
      return bigintFromText;
    case 'float64':
      return floatFromText;
    case 'decimal':
      return decimalParser(type.scale);
    case 'text':
    case 'json':
    case 'uuid':
      return stringFromText;
    case 'bytes':
      return bytesFromText;
    case 'date':
      return dateFromText;
    case 'time':
      return timeFromText;
    case 'timestamp':
      return timestampFromText;
  }
}

function boolFromText(bytes: Buffer, start: number, end: number): boolean {
  const char = bytes[start];
  if (end !== start + 1 || (char !== 0x74 && char !== 0x66)) throw new CellTextError('not a boolean');
  return char === 0x74;
}

function intFromText(bytes: Buffer, start: number, end: number): number {
  if (end - start > 11) throw new CellTextError('not an integer of 32 bits');
  return smallInteger(bytes, start, end);
}

function bigintFromText(bytes: Buffer, start: number, end: number): bigint {
  if (end - start <= EXACT_DIGITS) return BigInt(smallInteger(bytes, start, end));
  const text = bytes.toString('latin1', start, end);
  if (!/^-?\d{1,19}$/.test(text)) throw new CellTextError('not an integer of 64 bits');
  return BigInt(text);
}

/** An integer of few enough digits that a double holds it. */
function smallInteger(bytes: Buffer, start: number, end: number): number {
  let at = start;
  const negative = bytes[at] === MINUS;
  if (negative) at++;
  if (at >= end) throw new CellTextError('not a number');
  let value = 0;
  for (; at < end; at++) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit < 0 || digit > 9) throw new CellTextError('not a whole number');
    value = value * 10 + digit;
  }
  return negative ? 0 - value : value;
}

function floatFromText(bytes: Buffer, start: number, end: number): number {
  const text = bytes.toString('latin1', start, end);
  const value = Number(text);
  if (text === '' || (Number.isNaN(value) && text !== 'NaN')) throw new CellTextError('not a float');
  return value;
}

function decimalParser(scale: number): CellParser {
  return (bytes, start, end) => {
    if (end - start > EXACT_DIGITS + 1) return longDecimal(bytes, start, end, scale);
    let at = start;
    const negative = bytes[at] === MINUS;
    if (negative) at++;
    let value = 0;
    let digits = 0;
    let fraction = -1;
    for (; at < end; at++) {
      const char = bytes[at] as number;
      if (char >= ZERO && char <= NINE) {
        value = value * 10 + (char - ZERO);
        digits++;
        if (fraction >= 0) fraction++;
      } else if (char === POINT && fraction < 0) fraction = 0;
      else throw new CellTextError('a numeric that is no finite number');
    }
    const missing = scale - Math.max(fraction, 0);
    if (digits === 0 || missing < 0 || digits + missing > EXACT_DIGITS) return longDecimal(bytes, start, end, scale);
    for (let pad = 0; pad < missing; pad++) value *= 10;
    return BigInt(negative ? 0 - value : value);
  };
}

function longDecimal(bytes: Buffer, start: number, end: number, scale: number): bigint {
  const match = /^(-?)(\d*)(?:\.(\d*))?$/.exec(bytes.toString('latin1', start, end));
  const fraction = match?.[3] ?? '';
  if (match === null || (match[2] === '' && fraction === '')) throw new CellTextError('a numeric that is no finite number');
  if (fraction.length > scale) throw new CellTextError('a numeric with more digits after the point than its column');
  const unscaled = BigInt(match[2] + fraction.padEnd(scale, '0'));
  return match[1] === '-' ? -unscaled : unscaled;
}

function stringFromText(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('utf8', start, end);
}

function bytesFromText(bytes: Buffer, start: number, end: number): Uint8Array {
  if (bytes[start] !== 0x5c || bytes[start + 1] !== 0x78 || (end - start) % 2 !== 0) throw new CellTextError('not a hexadecimal bytea');
  const value = Buffer.from(bytes.toString('latin1', start + 2, end), 'hex');
  if (value.length !== (end - start - 2) / 2) throw new CellTextError('not a hexadecimal bytea');
  return value;
}
