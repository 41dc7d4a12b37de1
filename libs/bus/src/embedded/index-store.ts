import { PipelineError } from '@nanosync/core';
import { type Database, open, type RootDatabase } from 'lmdb';

/** A topic as the index knows it. `no` is its short name in keys and never used again. */
export interface TopicRecord {
  readonly no: number;
  readonly id: string;
  readonly partitions: number;
}

/** Where a chunk of messages lies. Stored under the offset after its last message, so that the first key above an offset holds it. */
export interface ChunkEntry {
  readonly end: number;
  readonly count: number;
  readonly segment: number;
  readonly position: number;
  readonly length: number;
  readonly crc: number;
  readonly timestampMs: number;
}

const ENTRY_BYTES = 44;

/**
 * The index of the bus: topics, offsets, where chunks lie, group progress, schemas. One LMDB file; what is not committed in it
 * does not exist, whatever bytes the segment files hold. Its values are small on purpose: LMDB maps its file, and what is read
 * through the map counts as the process's memory.
 */
export class IndexStore implements AsyncDisposable {
  readonly #root: RootDatabase;
  readonly #names: Database<unknown, string>;
  readonly #ends: Database<Buffer, Buffer>;
  readonly #chunks: Database<Buffer, Buffer>;
  readonly #segments: Database<Buffer, Buffer>;

  constructor(path: string) {
    // overlappingSync is lmdb's default: readers then see a commit before it is on disk, and only `flushed` promises that it is.
    // Without it a commit is synced (data, then the meta page) before anyone sees it and before its promise resolves.
    this.#root = open({ path, noSubdir: true, overlappingSync: false, mapSize: 64 * 1_048_576, maxDbs: 8, encoding: 'binary' });
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
    this.#names = this.#root.openDB('names', { encoding: 'json' });
    this.#ends = this.#root.openDB('ends', binary);
    this.#chunks = this.#root.openDB('chunks', binary);
    this.#segments = this.#root.openDB('segments', binary);
  }

  /** Runs the action as one transaction, all or nothing; resolves when it is on disk. Other processes wait meanwhile. */
  async transaction<T>(action: () => T): Promise<T> {
    try {
      return await this.#root.childTransaction(action);
    } catch (error) {
      // lmdb rejects a second promise with the reason; unhandled it would end the process.
      const reason = (error as { commitError?: Promise<never> }).commitError;
      if (reason === undefined) throw error;
      const cause = await reason.catch((caught: unknown) => caught);
      throw new PipelineError('unavailable', 'The bus could not be written to disk.', {
        hint: 'Look for free space and disk errors.',
        cause,
      });
    }
  }

  /** Makes the next reads see what other processes committed. */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  get<T>(name: string): T | undefined {
    return this.#names.get(name) as T | undefined;
  }

  put(name: string, value: unknown): void {
    this.#names.put(name, value);
  }

  delete(name: string): void {
    this.#names.remove(name);
  }

  /** Names with a prefix, and their values. */
  list<T>(prefix: string): readonly { readonly name: string; readonly value: T }[] {
    const found = [...this.#names.getRange({ start: prefix, end: `${prefix}\uffff` })];
    return found.map(({ key, value }) => ({ name: key, value: value as T }));
  }

  /** The next number of a counter, never given twice. Within a transaction only. */
  count(counter: string): number {
    const next = (this.get<number>(`counter:${counter}`) ?? 0) + 1;
    this.put(`counter:${counter}`, next);
    return next;
  }

  topic(name: string): TopicRecord | undefined {
    return this.get<TopicRecord>(`topic:${name}`);
  }

  range(topicNo: number, partition: number): { readonly start: number; readonly end: number } {
    const bytes = this.#ends.getBinary(placeKey(topicNo, partition, 0));
    return bytes === undefined ? { start: 0, end: 0 } : { start: bytes.readDoubleLE(0), end: bytes.readDoubleLE(8) };
  }

  setRange(topicNo: number, partition: number, range: { readonly start: number; readonly end: number }): void {
    const bytes = Buffer.alloc(16);
    bytes.writeDoubleLE(range.start, 0);
    bytes.writeDoubleLE(range.end, 8);
    this.#ends.put(placeKey(topicNo, partition, 0), bytes);
  }

  deleteRange(topicNo: number, partition: number): void {
    this.#ends.remove(placeKey(topicNo, partition, 0));
  }

  putChunk(topicNo: number, partition: number, entry: ChunkEntry): void {
    this.#chunks.put(placeKey(topicNo, partition, entry.end), encodeEntry(entry));
  }

  deleteChunk(topicNo: number, partition: number, end: number): void {
    this.#chunks.remove(placeKey(topicNo, partition, end));
  }

  /** Chunks in offset order from the one that holds `offset`, lazily; none may be kept over a turn of the event loop. */
  *chunks(topicNo: number, partition: number, offset: number): Generator<ChunkEntry> {
    const start = placeKey(topicNo, partition, offset + 1);
    for (const { value } of this.#chunks.getRange({ start, end: placeKey(topicNo, partition + 1, 0) })) yield decodeEntry(value);
  }

  /** How many chunks a segment holds, undefined when it is no more. */
  liveChunks(segment: number): number | undefined {
    return this.#segments.getBinary(numberKey(segment))?.readUInt32LE(4);
  }

  setSegment(segment: number, topicNo: number, live: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(topicNo, 0);
    bytes.writeUInt32LE(live, 4);
    this.#segments.put(numberKey(segment), bytes);
  }

  deleteSegment(segment: number): void {
    this.#segments.remove(numberKey(segment));
  }

  segments(): readonly { readonly segment: number; readonly topicNo: number; readonly live: number }[] {
    return [...this.#segments.getRange({})].map(({ key, value }) => ({
      segment: Buffer.from(key).readUInt32BE(0),
      topicNo: value.readUInt32LE(0),
      live: value.readUInt32LE(4),
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root.close();
  }
}

function placeKey(topicNo: number, partition: number, offset: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32BE(topicNo, 0);
  key.writeUInt32BE(partition, 4);
  key.writeUIntBE(offset, 10, 6);
  return key;
}

function numberKey(value: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32BE(value, 0);
  return key;
}

function encodeEntry(entry: ChunkEntry): Buffer {
  const bytes = Buffer.alloc(ENTRY_BYTES);
  bytes.writeDoubleLE(entry.end, 0);
  bytes.writeDoubleLE(entry.position, 8);
  bytes.writeDoubleLE(entry.timestampMs, 16);
  bytes.writeUInt32LE(entry.count, 24);
  bytes.writeUInt32LE(entry.segment, 28);
  bytes.writeUInt32LE(entry.length, 32);
  bytes.writeUInt32LE(entry.crc, 36);
  return bytes;
}

function decodeEntry(bytes: Buffer): ChunkEntry {
  return {
    end: bytes.readDoubleLE(0),
    position: bytes.readDoubleLE(8),
    timestampMs: bytes.readDoubleLE(16),
    count: bytes.readUInt32LE(24),
    segment: bytes.readUInt32LE(28),
    length: bytes.readUInt32LE(32),
    crc: bytes.readUInt32LE(36),
  };
}
