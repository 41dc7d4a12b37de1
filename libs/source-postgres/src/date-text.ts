import { DATE_INFINITY, TIMESTAMP_INFINITY } from '@nanosync/core';
import { CellTextError } from './cell-text-error.ts';

const ZERO = 48;
const DASH = 45;
const PLUS = 43;
const COLON = 58;
const POINT = 46;
const SPACE = 32;
const LETTER_I = 105;

const DAY_US = 86_400_000_000;
/** Days from 0000-03-01 (proleptic Gregorian) to 1970-01-01. */
const EPOCH_DAYS = 719_468;
const LEAST_TIMESTAMP = -TIMESTAMP_INFINITY;

/** Where the last parsed part ended. A module variable because a result object a value would cost more than the parsing. */
let cursor = 0;

/** Days since 1970-01-01 of `2024-02-29`, `0044-03-15 BC`, `12345-01-01`, `infinity` or `-infinity`. */
export function dateFromText(bytes: Buffer, start: number, end: number): number {
  const infinite = infinity(bytes, start, end);
  if (infinite !== 0) return infinite * DATE_INFINITY;
  return daysAt(bytes, start, end, isBc(bytes, start, end) ? end - 3 : end, true);
}

/** Microseconds since midnight of `23:59:59.999999`; `24:00:00` is the end of the day. */
export function timeFromText(bytes: Buffer, start: number, end: number): number {
  const value = timeAt(bytes, start, end);
  if (cursor !== end || value > DAY_US) throw new CellTextError('not a time of day');
  return value;
}

/** Microseconds since 1970-01-01 00:00 of `2024-02-29 12:00:00.5+00`, with `BC` and infinities; without an offset as it stands. */
export function timestampFromText(bytes: Buffer, start: number, end: number): bigint {
  const infinite = infinity(bytes, start, end);
  if (infinite !== 0) return infinite > 0 ? TIMESTAMP_INFINITY : -TIMESTAMP_INFINITY;
  const bc = isBc(bytes, start, end);
  const stop = bc ? end - 3 : end;
  const days = daysAt(bytes, start, end, stop, false);
  if (bytes[cursor] !== SPACE) throw new CellTextError('not a timestamp');
  const time = timeAt(bytes, cursor + 1, stop) - offsetAt(bytes, cursor, stop);
  if (cursor !== stop) throw new CellTextError('not a timestamp');
  const value = days * DAY_US + time;
  if (Number.isSafeInteger(value)) return BigInt(value);
  const exact = BigInt(days) * BigInt(DAY_US) + BigInt(time);
  if (exact <= LEAST_TIMESTAMP || exact >= TIMESTAMP_INFINITY)
    throw new CellTextError('a timestamp beyond the microseconds that 64 bits hold');
  return exact;
}

/** 1 for `infinity`, -1 for `-infinity`, 0 for anything else. */
function infinity(bytes: Buffer, start: number, end: number): -1 | 0 | 1 {
  const negative = bytes[start] === DASH;
  if (bytes[negative ? start + 1 : start] !== LETTER_I) return 0;
  if (bytes.toString('latin1', negative ? start + 1 : start, end) !== 'infinity') throw new CellTextError('not a date');
  return negative ? -1 : 1;
}

function isBc(bytes: Buffer, start: number, end: number): boolean {
  return end - start > 3 && bytes[end - 1] === 0x43 && bytes[end - 2] === 0x42 && bytes[end - 3] === SPACE;
}

function daysAt(bytes: Buffer, start: number, end: number, stop: number, whole: boolean): number {
  let at = start;
  let year = 0;
  for (; at < stop && bytes[at] !== DASH; at++) year = year * 10 + digit(bytes, at);
  if (at - start < 4 || at - start > 7 || bytes[at + 3] !== DASH) throw new CellTextError('not a date');
  const month = twoDigits(bytes, at + 1, stop);
  const day = twoDigits(bytes, at + 4, stop);
  cursor = at + 6;
  if (month < 1 || month > 12 || day < 1 || day > 31 || (whole && cursor !== stop)) throw new CellTextError('not a date');
  return daysFromCivil(stop === end ? year : 1 - year, month, day);
}

/** The usual count of days from March 1st of year 0, by eras of 400 years. */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - EPOCH_DAYS;
}

function timeAt(bytes: Buffer, start: number, stop: number): number {
  if (bytes[start + 2] !== COLON || bytes[start + 5] !== COLON) throw new CellTextError('not a time of day');
  const seconds = twoDigits(bytes, start, stop) * 3600 + twoDigits(bytes, start + 3, stop) * 60 + twoDigits(bytes, start + 6, stop);
  let at = start + 8;
  let fraction = 0;
  if (at < stop && bytes[at] === POINT) {
    let unit = 1_000_000;
    for (at++; at < stop; at++) {
      const value = (bytes[at] as number) - ZERO;
      if (value < 0 || value > 9) break;
      unit /= 10;
      fraction += value * unit;
    }
    if (unit < 1) throw new CellTextError('a time finer than microseconds');
  }
  cursor = at;
  return seconds * 1_000_000 + fraction;
}

/** Microseconds of `+05:30:15`; 0 where the text ends before an offset. */
function offsetAt(bytes: Buffer, start: number, stop: number): number {
  if (start >= stop) return 0;
  const sign = bytes[start];
  if (sign !== PLUS && sign !== DASH) throw new CellTextError('not a timestamp');
  let at = start + 1;
  let seconds = twoDigits(bytes, at, stop) * 3600;
  at += 2;
  for (const unit of [60, 1]) {
    if (at >= stop || bytes[at] !== COLON) break;
    seconds += twoDigits(bytes, at + 1, stop) * unit;
    at += 3;
  }
  cursor = at;
  return (sign === DASH ? -seconds : seconds) * 1_000_000;
}

function twoDigits(bytes: Buffer, at: number, stop: number): number {
  if (at + 2 > stop) throw new CellTextError('a date or time that ends early');
  return digit(bytes, at) * 10 + digit(bytes, at + 1);
}

function digit(bytes: Buffer, at: number): number {
  const value = (bytes[at] as number) - ZERO;
  if (!(value >= 0 && value <= 9)) throw new CellTextError('not a date or time');
  return value;
}
