import { decimalToBytes, VALUE_BRANCH } from '@nanosync/core';

/*
 * Cells from PostgreSQL's binary form to Avro's, from one byte array straight into another. This is the hot path: no strings,
 * no objects, no BigInt but for numbers beyond 53 bits. Each function reads the value of `length` bytes at `at`, writes the
 * union branch and the value at `to`, and returns the place after it, or a negative number (minus a `REJECT` code) when the
 * value has no place in the column's kind. The caller has made sure of room: see MAX_GROWTH in row-encoder.ts.
 */

/** Why a cell cannot be encoded; encoders return these as they are, being negative. */
export const REJECT = { notFinite: -1, outOfRange: -2, malformed: -3 } as const;

/** The sentence behind a `REJECT` code. */
export function rejectReason(code: number): string {
  if (code === REJECT.notFinite) return 'NaN and infinity have no decimal form';
  if (code === REJECT.outOfRange) return "the value is outside the range of the column's type";
  return 'the value is not in the form that its type has';
}

/** Writes a zigzag varint of a 32-bit signed integer. */
export function putInt(out: Uint8Array, to: number, value: number): number {
  return putUnsigned(out, to, ((value << 1) ^ (value >> 31)) >>> 0);
}

/** Writes a zigzag varint of a 64-bit signed integer given as its two halves. */
export function putLong(out: Uint8Array, to: number, high: number, low: number): number {
  const sign = high >> 31;
  const hi = (((high << 1) | (low >>> 31)) ^ sign) >>> 0;
  const lo = ((low << 1) ^ sign) >>> 0;
  if (hi === 0) return putUnsigned(out, to, lo);
  let o = put28(out, to, lo);
  const middle = ((lo >>> 28) | (hi << 4)) >>> 0;
  const top = hi >>> 28;
  if (top === 0) return putUnsigned(out, o, middle);
  o = put28(out, o, middle);
  return putUnsigned(out, o, (middle >>> 28) | (top << 4));
}

function putUnsigned(out: Uint8Array, to: number, value: number): number {
  let o = to;
  let rest = value;
  while (rest > 0x7f) {
    out[o++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[o] = rest;
  return o + 1;
}

function put28(out: Uint8Array, to: number, value: number): number {
  out[to] = (value & 0x7f) | 0x80;
  out[to + 1] = ((value >>> 7) & 0x7f) | 0x80;
  out[to + 2] = ((value >>> 14) & 0x7f) | 0x80;
  out[to + 3] = ((value >>> 21) & 0x7f) | 0x80;
  return to + 4;
}

/** Big-endian signed 32 bits. */
export function int32At(source: Uint8Array, at: number): number {
  return (
    ((source[at] as number) << 24) | ((source[at + 1] as number) << 16) | ((source[at + 2] as number) << 8) | (source[at + 3] as number)
  );
}

function int16At(source: Uint8Array, at: number): number {
  return (((source[at] as number) << 24) | ((source[at + 1] as number) << 16)) >> 16;
}

export function encodeBool(source: Uint8Array, at: number, out: Uint8Array, to: number): number {
  out[to] = VALUE_BRANCH;
  out[to + 1] = source[at] === 0 ? 0 : 1;
  return to + 2;
}

export function encodeInt16(source: Uint8Array, at: number, out: Uint8Array, to: number): number {
  out[to] = VALUE_BRANCH;
  return putInt(out, to + 1, int16At(source, at));
}

export function encodeInt32(source: Uint8Array, at: number, out: Uint8Array, to: number): number {
  out[to] = VALUE_BRANCH;
  return putInt(out, to + 1, int32At(source, at));
}

/** `bigint`, and `time` as its microseconds. */
export function encodeInt64(source: Uint8Array, at: number, out: Uint8Array, to: number): number {
  out[to] = VALUE_BRANCH;
  return putLong(out, to + 1, int32At(source, at), int32At(source, at + 4));
}

/** PostgreSQL counts days from 2000-01-01. */
const DAYS_SHIFT = 10_957;

export function encodeDate(source: Uint8Array, at: number, out: Uint8Array, to: number): number {
  const days = int32At(source, at);
  out[to] = VALUE_BRANCH;
  if (days === 0x7fff_ffff) return putInt(out, to + 1, 0x7fff_ffff);
  if (days === -0x8000_0000) return putInt(out, to + 1, -0x7fff_ffff);
  return putInt(out, to + 1, days + DAYS_SHIFT);
}

/** PostgreSQL counts microseconds from 2000-01-01 00:00: 946,684,800,000,000 after 1970-01-01, here as two halves. */
const MICROS_SHIFT_HIGH = 220_417;
const MICROS_SHIFT_LOW = 946_684_800_000_000 - MICROS_SHIFT_HIGH * 4_294_967_296;

export function encodeTimestamp(source: Uint8Array, at: number, out: Uint8Array, to: number): number {
  const high = int32At(source, at);
  const low = int32At(source, at + 4);
  out[to] = VALUE_BRANCH;
  if (high === 0x7fff_ffff && low === -1) return putLong(out, to + 1, high, low);
  if (high === -0x8000_0000 && low === 0) return putLong(out, to + 1, high, 1);
  const lowSum = (low >>> 0) + MICROS_SHIFT_LOW;
  const shiftedLow = lowSum | 0;
  const shiftedHigh = high + MICROS_SHIFT_HIGH + (lowSum > 0xffff_ffff ? 1 : 0);
  // The last 17 days of the year 294246 lie beyond 64 bits of 1970; the greatest number means infinity.
  if (shiftedHigh > 0x7fff_ffff || (shiftedHigh === 0x7fff_ffff && shiftedLow === -1)) return REJECT.outOfRange;
  return putLong(out, to + 1, shiftedHigh, shiftedLow);
}

export function encodeDouble(source: Uint8Array, at: number, out: Uint8Array, to: number): number {
  out[to] = VALUE_BRANCH;
  for (let index = 0; index < 8; index++) out[to + 1 + index] = source[at + 7 - index] as number;
  return to + 9;
}

/** A copy below this length costs less as a loop than as a call into the engine. */
const SHORT_COPY = 48;

/** Text of any kind and bytea: the same bytes behind a length. */
export function encodeBytes(source: Uint8Array, at: number, length: number, out: Uint8Array, to: number): number {
  out[to] = VALUE_BRANCH;
  const o = putInt(out, to + 1, length);
  if (length < SHORT_COPY) for (let index = 0; index < length; index++) out[o + index] = source[at + index] as number;
  else out.set(source.subarray(at, at + length), o);
  return o + length;
}

/** `jsonb` is sent as a version byte and its text. */
export function encodeJsonb(source: Uint8Array, at: number, length: number, out: Uint8Array, to: number): number {
  if (source[at] !== 1) return REJECT.malformed;
  return encodeBytes(source, at + 1, length - 1, out, to);
}

const HEX = Buffer.from('0123456789abcdef');

/** 16 bytes become their 36 characters. */
export function encodeUuid(source: Uint8Array, at: number, out: Uint8Array, to: number): number {
  out[to] = VALUE_BRANCH;
  out[to + 1] = 72; // Length 36 as a varint.
  let o = to + 2;
  for (let index = 0; index < 16; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) out[o++] = 0x2d;
    const byte = source[at + index] as number;
    out[o] = HEX[byte >>> 4] as number;
    out[o + 1] = HEX[byte & 15] as number;
    o += 2;
  }
  return o;
}

const NUMERIC_NEGATIVE = 0x4000;
const POWERS = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent);

/** A numeric's base-10000 digits as the two's-complement bytes of its digits at the column's scale. */
export function encodeNumeric(source: Uint8Array, at: number, length: number, scale: number, out: Uint8Array, to: number): number {
  const count = int16At(source, at);
  const sign = int16At(source, at + 4) & 0xffff;
  if (sign !== 0 && sign !== NUMERIC_NEGATIVE) return REJECT.notFinite;
  if (count < 0 || length !== 8 + 2 * count) return REJECT.malformed;
  const exponent = 4 * (int16At(source, at + 2) - count + 1) + scale;
  const small = smallUnscaled(source, at + 8, count, exponent);
  if (small >= 0) return putSmallDecimal(out, to, sign === 0 ? small : -small);
  const unscaled = bigUnscaled(source, at + 8, count, exponent);
  if (unscaled === undefined) return REJECT.outOfRange;
  return putBigDecimal(out, to, decimalToBytes(sign === 0 ? unscaled : -unscaled));
}

/** Digits times ten to the exponent while that is an integer below 2^53, else -1. */
function smallUnscaled(source: Uint8Array, at: number, count: number, exponent: number): number {
  if (count > 4 || exponent > 22 || exponent < -22) return count === 0 ? 0 : -1;
  let digits = 0;
  for (let index = 0; index < count; index++) digits = digits * 10_000 + int16At(source, at + 2 * index);
  // Products and quotients of exact doubles are exact while the result is an integer below 2^53; above it they never round to below.
  const unscaled = exponent >= 0 ? digits * (POWERS[exponent] as number) : digits / (POWERS[-exponent] as number);
  return digits <= Number.MAX_SAFE_INTEGER && unscaled <= Number.MAX_SAFE_INTEGER && Number.isInteger(unscaled) ? unscaled : -1;
}

function bigUnscaled(source: Uint8Array, at: number, count: number, exponent: number): bigint | undefined {
  let digits = 0n;
  for (let index = 0; index < count; index++) digits = digits * 10_000n + BigInt(int16At(source, at + 2 * index));
  if (exponent >= 0) return digits * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  return digits % divisor === 0n ? digits / divisor : undefined;
}

function putSmallDecimal(out: Uint8Array, to: number, value: number): number {
  out[to] = VALUE_BRANCH;
  const high = Math.floor(value / 4_294_967_296);
  const low = value | 0;
  let bytes = 1;
  // The shortest two's-complement form: one bit of the first byte is the sign.
  for (let limit = 128; value >= limit || value < -limit; limit *= 256) bytes++;
  out[to + 1] = bytes * 2;
  let o = to + 2;
  for (let index = bytes - 1; index >= 0; index--) out[o++] = index >= 4 ? high >>> (8 * (index - 4)) : low >>> (8 * index);
  return o;
}

function putBigDecimal(out: Uint8Array, to: number, bytes: Uint8Array): number {
  out[to] = VALUE_BRANCH;
  const o = putInt(out, to + 1, bytes.length);
  for (let index = 0; index < bytes.length; index++) out[o + index] = bytes[index] as number;
  return o + bytes.length;
}
