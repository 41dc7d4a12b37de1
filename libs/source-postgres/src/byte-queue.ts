/** Memory that holds queued entries one after the other. */
export interface Page {
  readonly bytes: Buffer;
  used: number;
}

/** What an entry is: a message of the output plugin, or the end of the log that a keepalive told. */
export type EntryTag = typeof DATA_ENTRY | typeof KEEPALIVE_ENTRY;
export const DATA_ENTRY = 0;
export const KEEPALIVE_ENTRY = 1;

const HEADER = 5;
const PAGE_BYTES = 256 * 1024;
const SPARE_PAGES = 4;

/**
 * A first-in-first-out queue of byte strings, copied into pages of its own: the driver reuses its receive buffer, so that a
 * kept slice of it changes under its owner's feet.
 */
export class ByteQueue {
  private readonly pages: Page[] = [];
  private readonly spare: Page[] = [];
  /** Where the last entry lies in the last page, when it is a keepalive that a newer one may overwrite. */
  private lastKeepalive = -1;
  private queued = 0;

  /** Bytes queued, headers included. */
  get bytes(): number {
    return this.queued;
  }

  /** Appends a copy of an entry. */
  push(tag: EntryTag, source: Buffer): void {
    if (tag === KEEPALIVE_ENTRY && this.lastKeepalive >= 0) {
      source.copy((this.pages.at(-1) as Page).bytes, this.lastKeepalive);
      return;
    }
    const size = HEADER + source.length;
    const page = this.pageFor(size);
    const { bytes, used } = page;
    bytes.writeUInt32BE(source.length, used);
    bytes[used + 4] = tag;
    source.copy(bytes, used + HEADER);
    page.used = used + size;
    this.queued += size;
    this.lastKeepalive = tag === KEEPALIVE_ENTRY ? used + HEADER : -1;
  }

  /** The oldest page, or undefined; give it back with {@link release} once it was read. */
  take(): Page | undefined {
    const page = this.pages.shift();
    if (page === undefined) return undefined;
    if (this.pages.length === 0) this.lastKeepalive = -1;
    this.queued -= page.used;
    return page;
  }

  /** Gives a taken page back for reuse. */
  release(page: Page): void {
    if (page.bytes.length !== PAGE_BYTES || this.spare.length >= SPARE_PAGES) return;
    page.used = 0;
    this.spare.push(page);
  }

  private pageFor(size: number): Page {
    const last = this.pages.at(-1);
    if (last !== undefined && last.used + size <= last.bytes.length) return last;
    const page = size <= PAGE_BYTES ? (this.spare.pop() ?? newPage(PAGE_BYTES)) : newPage(size);
    this.pages.push(page);
    return page;
  }
}

/** Walks the entries of a page from `from`; returns the offset after the last entry seen, which is where `visit` said stop. */
export function readEntries(page: Page, from: number, visit: (tag: EntryTag, start: number, end: number) => boolean): number {
  let at = from;
  while (at < page.used) {
    const start = at + HEADER;
    const end = start + page.bytes.readUInt32BE(at);
    const tag = page.bytes[at + 4] as EntryTag;
    at = end;
    if (visit(tag, start, end)) break;
  }
  return at;
}

function newPage(size: number): Page {
  return { bytes: Buffer.allocUnsafeSlow(size), used: 0 };
}
