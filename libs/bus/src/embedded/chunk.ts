import { crc32 } from 'node:zlib';
import type { Message, OutMessage } from '@nanosync/core';

/** Messages of one send are stored in chunks of about this size, so that a reader's memory is bounded by it and by the largest message. */
export const CHUNK_BYTES = 1_048_576;
/** Values from here on are written from the sender's own buffer instead of being copied together. */
const COPY_BELOW = 32_768;
const HEADER_BYTES = 8;

/** Consecutive messages as they are laid out in a segment file: per message both lengths (32 bits each), the key, the value. */
export interface Chunk {
  readonly count: number;
  readonly bytes: number;
  readonly crc: number;
  readonly parts: readonly Uint8Array[];
}

/** Lays messages out in chunks of about `limit` bytes, at least one message each. */
export function encodeChunks(messages: readonly OutMessage[], limit = CHUNK_BYTES): readonly Chunk[] {
  const chunks: Chunk[] = [];
  let from = 0;
  let bytes = 0;
  for (const [index, message] of messages.entries()) {
    const size = HEADER_BYTES + message.key.length + message.value.length;
    if (index > from && bytes + size > limit) {
      chunks.push(encodeChunk(messages.slice(from, index)));
      from = index;
      bytes = 0;
    }
    bytes += size;
  }
  if (from < messages.length) chunks.push(encodeChunk(from === 0 ? messages : messages.slice(from)));
  return chunks;
}

function encodeChunk(messages: readonly OutMessage[]): Chunk {
  let copied = 0;
  for (const { key, value } of messages) copied += HEADER_BYTES + key.length + (value.length < COPY_BELOW ? value.length : 0);
  const buffer = Buffer.allocUnsafe(copied);
  const parts: Uint8Array[] = [];
  let at = 0;
  let cut = 0;
  for (const { key, value } of messages) {
    buffer.writeUInt32LE(key.length, at);
    buffer.writeUInt32LE(value.length, at + 4);
    buffer.set(key, at + HEADER_BYTES);
    at += HEADER_BYTES + key.length;
    if (value.length < COPY_BELOW) {
      buffer.set(value, at);
      at += value.length;
    } else {
      parts.push(buffer.subarray(cut, at), value);
      cut = at;
    }
  }
  if (cut < at) parts.push(buffer.subarray(cut, at));
  let bytes = 0;
  let crc = 0;
  for (const part of parts) {
    bytes += part.length;
    crc = crc32(part, crc);
  }
  return { count: messages.length, bytes, crc, parts };
}

/** The messages of a chunk, or undefined when its bytes are not those that were written. */
export function decodeChunk(
  bytes: Buffer,
  chunk: { readonly count: number; readonly crc: number; readonly base: number; readonly timestampMs: number },
): Message[] | undefined {
  if (crc32(bytes) !== chunk.crc) return undefined;
  const messages: Message[] = [];
  let at = 0;
  for (let index = 0; index < chunk.count; index++) {
    const valueAt = at + HEADER_BYTES + bytes.readUInt32LE(at);
    const end = valueAt + bytes.readUInt32LE(at + 4);
    messages.push({
      offset: chunk.base + index,
      timestampMs: chunk.timestampMs,
      key: bytes.subarray(at + HEADER_BYTES, valueAt),
      value: bytes.subarray(valueAt, end),
    });
    at = end;
  }
  return at === bytes.length ? messages : undefined;
}
