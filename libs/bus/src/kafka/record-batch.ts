import { promisify } from 'node:util';
import { constants, gunzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { type Message, type OutMessage, PipelineError } from '@nanosync/core';
import { crc32c } from './crc32c.ts';

/** Bytes of a batch before its first record, and what a record adds to key and value at most. */
export const BATCH_BYTES = 61;
export const RECORD_BYTES = 24;
const GZIP = 1;
const ZSTD = 4;
const CODEC_MASK = 7;
const CONTROL_FLAG = 32;

const compress = promisify(zstdCompress);
const decompressZstd = promisify(zstdDecompress);
const decompressGzip = promisify(gunzip);
const FAST = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** An encoded record batch. */
export interface EncodedBatch {
  readonly bytes: Buffer;
  readonly count: number;
  /** Bytes of the records before compression. */
  readonly plainBytes: number;
}

/** Bytes that these messages take in a batch at most, uncompressed. */
export function batchBytes(messages: readonly OutMessage[]): number {
  return messages.reduce((total, { key, value }) => total + key.length + value.length + RECORD_BYTES, BATCH_BYTES);
}

/** Bytes that key and value of a message may have, for a batch of it alone to stay within the brokers' limit. */
export function maxMessageBytes(batchLimit: number): number {
  return batchLimit - BATCH_BYTES - RECORD_BYTES;
}

/** Encodes messages as one record batch of format 2, without a producer id; compressed where that is asked for and gains something. */
export async function encodeBatch(messages: readonly OutMessage[], timestampMs: number, tryCompress: boolean): Promise<EncodedBatch> {
  const plain = Buffer.allocUnsafe(batchBytes(messages));
  let at = BATCH_BYTES;
  for (const [index, message] of messages.entries()) at = writeRecord(plain, at, index, message);
  const plainBytes = at - BATCH_BYTES;
  const compressed = tryCompress ? await compress(plain.subarray(BATCH_BYTES, at), FAST) : undefined;
  const used = compressed !== undefined && compressed.length < plainBytes * 0.9 ? compressed : undefined;
  const bytes = used === undefined ? plain.subarray(0, at) : Buffer.concat([plain.subarray(0, BATCH_BYTES), used]);
  writeHeader(bytes, messages.length, timestampMs, used === undefined ? 0 : ZSTD);
  return { bytes, count: messages.length, plainBytes };
}

/** Offset, length, leader epoch, magic 2 and CRC; then what the CRC covers: attributes, counts, times, no producer. */
function writeHeader(bytes: Buffer, count: number, timestampMs: number, attributes: number): void {
  bytes.writeBigInt64BE(0n, 0);
  bytes.writeInt32BE(bytes.length - 12, 8);
  bytes.writeInt32BE(-1, 12);
  bytes.writeInt8(2, 16);
  bytes.writeInt16BE(attributes, 21);
  bytes.writeInt32BE(count - 1, 23);
  bytes.writeBigInt64BE(BigInt(timestampMs), 27);
  bytes.writeBigInt64BE(BigInt(timestampMs), 35);
  bytes.writeBigInt64BE(-1n, 43);
  bytes.writeInt16BE(-1, 51);
  bytes.writeInt32BE(-1, 53);
  bytes.writeInt32BE(count, 57);
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
}

function writeRecord(buffer: Buffer, start: number, index: number, { key, value }: OutMessage): number {
  const length = 2 + varintBytes(index) + varintBytes(key.length) + key.length + varintBytes(value.length) + value.length + 1;
  let at = writeVarint(buffer, start, length);
  buffer[at++] = 0; // Attributes.
  buffer[at++] = 0; // The batch's time.
  at = writeVarint(buffer, at, index);
  at = writeVarint(buffer, at, key.length);
  buffer.set(key, at);
  at = writeVarint(buffer, at + key.length, value.length);
  buffer.set(value, at);
  at += value.length;
  buffer[at++] = 0; // No headers.
  return at;
}

/** Reads the whole batches of a fetch answer; the last one may be cut off and is then left out. */
export async function decodeBatches(records: Buffer, from: number): Promise<readonly Message[]> {
  const messages: Message[] = [];
  for (let at = 0; at + BATCH_BYTES <= records.length; ) {
    const end = at + 12 + records.readInt32BE(at + 8);
    if (end > records.length) break;
    await decodeBatch(records.subarray(at, end), from, messages);
    at = end;
  }
  return messages;
}

async function decodeBatch(batch: Buffer, from: number, into: Message[]): Promise<void> {
  if (batch.readInt8(16) !== 2) throw damaged('has a message format before version 2');
  if (crc32c(batch.subarray(21)) !== batch.readUInt32BE(17)) throw damaged('does not match its checksum');
  const attributes = batch.readInt16BE(21);
  if (attributes & CONTROL_FLAG) return;
  const base = Number(batch.readBigInt64BE(0));
  const appended = attributes & 8 ? Number(batch.readBigInt64BE(35)) : undefined;
  const first = Number(batch.readBigInt64BE(27));
  const count = batch.readInt32BE(57);
  const records = await recordsOf(batch, attributes & CODEC_MASK);
  const cursor: Cursor = { bytes: records, at: 0 };
  for (let index = 0; index < count; index++) {
    const length = readVarint(cursor);
    const end = cursor.at + length;
    cursor.at++;
    const timestampMs = appended ?? first + readVarint(cursor);
    if (appended !== undefined) readVarint(cursor);
    const offset = base + readVarint(cursor);
    const key = readBytes(cursor);
    const value = readBytes(cursor);
    cursor.at = end;
    if (offset >= from) into.push({ offset, timestampMs, key, value });
  }
}

async function recordsOf(batch: Buffer, codec: number): Promise<Buffer> {
  const body = batch.subarray(BATCH_BYTES);
  if (codec === 0) return body;
  if (codec === ZSTD) return decompressZstd(body);
  if (codec === GZIP) return decompressGzip(body);
  throw damaged('is compressed in a way that nanosync does not read; set compression.type of the topic to producer');
}

function damaged(why: string): PipelineError {
  return new PipelineError('gap', `A batch of messages on the bus ${why}.`, {
    hint: 'Resnapshot the pipeline: what it needs is not readable on the bus.',
  });
}

interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

function readBytes(cursor: Cursor): Buffer {
  const length = readVarint(cursor);
  const at = cursor.at;
  if (length > 0) cursor.at += length;
  return cursor.bytes.subarray(at, cursor.at);
}

/** Zigzag, seven bits a byte; exact up to 2^53. */
function readVarint(cursor: Cursor): number {
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = cursor.bytes[cursor.at++];
    if (byte === undefined) throw damaged('ends early');
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
    scale *= 128;
  }
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** Counts and lengths are not negative, so the zigzag form is the double. */
function writeVarint(buffer: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value * 2;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) buffer[at++] = (rest & 0x7f) | 0x80;
  buffer[at++] = rest;
  return at;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value * 2; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}
