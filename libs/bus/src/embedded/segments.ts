import { type FileHandle, open, rm } from 'node:fs/promises';
import { PipelineError } from '@nanosync/core';
import type { Chunk } from './chunk.ts';
import { segmentFiles, segmentPath, syncDirectory } from './directory.ts';

/** A segment takes no more chunks from here on. Disk space returns by whole segments. */
const SEGMENT_BYTES = 64 * 1_048_576;
const OPEN_READERS = 64;

/** Where a chunk was written. */
export interface Placed {
  readonly segment: number;
  readonly position: number;
}

interface Active {
  readonly segment: number;
  readonly file: FileHandle;
  position: number;
}

/**
 * Append-only files with the messages' bytes, one topic each. A process appends only to segments that it created, so no two
 * ever write to one file; bytes that no index entry names (a crash, a failed commit) are never read.
 */
export class Segments implements AsyncDisposable {
  readonly #directory: string;
  readonly #active = new Map<number, Active>();
  readonly #readers = new Map<number, Promise<FileHandle>>();
  readonly #segmentBytes: number;
  #closed = false;

  constructor(directory: string, segmentBytes = SEGMENT_BYTES) {
    this.#directory = directory;
    this.#segmentBytes = segmentBytes;
  }

  /** True when the topic's next chunks need a new segment. */
  needsNew(topicNo: number): boolean {
    const active = this.#active.get(topicNo);
    return active === undefined || active.position >= this.#segmentBytes;
  }

  /** Begins a segment whose number is already in the index. Returns the one that it takes over from. */
  async begin(topicNo: number, segment: number): Promise<number | undefined> {
    const file = await open(segmentPath(this.#directory, segment), 'wx', 0o600);
    syncDirectory(this.#directory);
    const before = this.#active.get(topicNo);
    this.#active.set(topicNo, { segment, file, position: 0 });
    await before?.file.close();
    return before?.segment;
  }

  /** Appends chunks to the topic's segment; they are not durable before {@link sync}. */
  async append(topicNo: number, chunks: readonly Chunk[]): Promise<readonly Placed[]> {
    const active = this.#active.get(topicNo) as Active;
    const placed = chunks.map((chunk) => {
      const place = { segment: active.segment, position: active.position };
      active.position += chunk.bytes;
      return place;
    });
    await writeFully(
      active.file,
      chunks.flatMap((chunk) => chunk.parts),
      placed[0]?.position ?? active.position,
    );
    return placed;
  }

  /** Resolves when everything appended to these topics is on disk. */
  async sync(topics: Iterable<number>): Promise<void> {
    await Promise.all([...topics].map((topicNo) => this.#active.get(topicNo)?.file.datasync()));
  }

  isActive(segment: number): boolean {
    return [...this.#active.values()].some((active) => active.segment === segment);
  }

  /** Stops appending to the topic's segment, as after a failed write, whose bytes may or may not be there. */
  async abandon(topicNo: number): Promise<void> {
    const active = this.#active.get(topicNo);
    this.#active.delete(topicNo);
    await active?.file.close().catch(() => undefined);
  }

  /** Reads bytes of a segment; fewer than asked when the file is shorter, undefined when it is not there. */
  async read(segment: number, position: number, length: number): Promise<Buffer | undefined> {
    for (;;) {
      try {
        return await readFully(await this.#reader(segment), position, length);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'ENOENT') return undefined;
        if (code !== 'EBADF') throw error; // Another read's open had this handle closed: open it again.
      }
    }
  }

  /** Removes the file of a segment that is no longer in the index. */
  async remove(segment: number): Promise<void> {
    const reader = this.#readers.get(segment);
    this.#readers.delete(segment);
    await rm(segmentPath(this.#directory, segment), { force: true });
    await reader?.then(closeQuietly, () => undefined);
  }

  /** Numbers of the segments that have a file. */
  files(): readonly number[] {
    return segmentFiles(this.#directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const topicNo of [...this.#active.keys()]) await this.abandon(topicNo);
    for (const reader of this.#readers.values()) await reader.then(closeQuietly, () => undefined);
    this.#readers.clear();
  }

  #reader(segment: number): Promise<FileHandle> {
    if (this.#closed) throw new PipelineError('unavailable', 'The bus is closed.');
    let reader = this.#readers.get(segment);
    if (reader === undefined) reader = open(segmentPath(this.#directory, segment), 'r');
    this.#readers.delete(segment);
    this.#readers.set(segment, reader); // Last in the map: last to be closed.
    reader.catch(() => this.#readers.delete(segment));
    const oldest = this.#readers.keys().next().value;
    if (this.#readers.size > OPEN_READERS && oldest !== undefined) {
      // A read under way holds the handle: Node closes it when that read has ended.
      this.#readers.get(oldest)?.then(closeQuietly, () => undefined);
      this.#readers.delete(oldest);
    }
    return reader;
  }
}

async function closeQuietly(file: FileHandle): Promise<void> {
  await file.close().catch(() => undefined);
}

async function readFully(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await file.read(bytes, got, length - got, position + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return bytes.subarray(0, got);
}

async function writeFully(file: FileHandle, parts: readonly Uint8Array[], position: number): Promise<void> {
  let rest = parts.filter((part) => part.length > 0);
  let at = position;
  while (rest.length > 0) {
    // The system takes at most 1024 pieces a call.
    let { bytesWritten } = await file.writev(rest.slice(0, 1000), at);
    at += bytesWritten;
    let whole = 0;
    while (whole < rest.length && bytesWritten >= (rest[whole] as Uint8Array).length) bytesWritten -= (rest[whole++] as Uint8Array).length;
    rest = rest.slice(whole);
    if (bytesWritten > 0) rest[0] = (rest[0] as Uint8Array).subarray(bytesWritten);
  }
}
