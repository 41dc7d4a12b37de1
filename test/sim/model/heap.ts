import type { Row } from '@nanosync/core';

/** One version of a row, as a heap keeps it: who made it, who removed it (0: nobody), and on which page it lies. */
export interface Version {
  readonly key: string;
  readonly row: Row;
  readonly page: number;
  readonly madeBy: number;
  removedBy: number;
  /** Its maker rolled back: nobody ever sees it, and it fills its page until the table is vacuumed. */
  aborted: boolean;
}

/**
 * One file of a table: pages of so many versions each. An update writes a new version wherever there is room, so that a row moves
 * between pages, also to an earlier one; room comes back only by {@link Heap.vacuum}.
 */
export class Heap {
  readonly file: number;
  private readonly pageRows: number;
  private readonly random: () => number;
  private readonly pages: Version[][] = [];
  private readonly byKey = new Map<string, Version[]>();

  constructor(file: number, pageRows: number, random: () => number) {
    this.file = file;
    this.pageRows = pageRows;
    this.random = random;
  }

  get pageCount(): number {
    return this.pages.length;
  }

  /** The versions of one key that are not known to be of nobody. */
  ofKey(key: string): readonly Version[] {
    return (this.byKey.get(key) ?? []).filter(({ aborted }) => !aborted);
  }

  /** The versions of the pages from `from` to before `to`, page by page. */
  *versions(from = 0, to = Number.POSITIVE_INFINITY): Generator<Version> {
    for (let page = from; page < Math.min(to, this.pages.length); page++) yield* [...(this.pages[page] as Version[])];
  }

  /** Writes a version on some page with room: near where it was, on the first, any other, or a new page. */
  add(key: string, row: Row, madeBy: number, near?: number): Version {
    const page = this.choosePage(near);
    const version: Version = { key, row, page, madeBy, removedBy: 0, aborted: false };
    (this.pages[page] as Version[]).push(version);
    const versions = this.byKey.get(key);
    if (versions === undefined) this.byKey.set(key, [version]);
    else versions.push(version);
    return version;
  }

  /** Takes out the versions that nobody can see any more; pages at the end that are empty then go when `shorten`. */
  vacuum(isDead: (version: Version) => boolean, shorten: boolean): void {
    for (const [page, versions] of this.pages.entries()) this.pages[page] = versions.filter((version) => !isDead(version));
    this.byKey.clear();
    for (const version of this.versions()) this.byKey.set(version.key, [...(this.byKey.get(version.key) ?? []), version]);
    while (shorten && this.pages.at(-1)?.length === 0) this.pages.pop();
  }

  /** The rows of another file, packed in another order. */
  fill(versions: readonly Version[]): void {
    const rest = [...versions];
    for (let page = 0; rest.length > 0; page++) {
      this.pages.push([]);
      for (let place = 0; place < this.pageRows && rest.length > 0; place++) {
        const [version] = rest.splice(Math.floor(this.random() * rest.length), 1) as [Version];
        const moved = { ...version, page };
        (this.pages[page] as Version[]).push(moved);
        this.byKey.set(moved.key, [...(this.byKey.get(moved.key) ?? []), moved]);
      }
    }
  }

  private choosePage(near: number | undefined): number {
    const chance = this.random();
    const last = this.pages.length - 1;
    if (near !== undefined && chance < 0.3 && this.hasRoom(near)) return near;
    if (chance < 0.9) {
      const free = this.pages.flatMap((_, page) => (this.hasRoom(page) ? [page] : []));
      const found = near === undefined && chance < 0.5 ? free[0] : free[Math.floor(this.random() * free.length)];
      if (found !== undefined) return found;
    } else if (last >= 0 && this.pages[last]?.length === 0) return last;
    this.pages.push([]);
    return last + 1;
  }

  private hasRoom(page: number): boolean {
    return (this.pages[page]?.length ?? this.pageRows) < this.pageRows;
  }
}
