/** What a group has done of a bus partition: everything below `next`, and the ranges [from, to) above it. */
export interface GroupProgress {
  readonly next: number;
  readonly done: readonly (readonly [number, number])[];
}

/** The progress with one more offset done; ranges that meet are joined, and `next` moves over what is done without a hole. */
export function withDone(progress: GroupProgress, offset: number): GroupProgress {
  if (isDone(progress, offset)) return progress;
  const ranges = [...progress.done, [offset, offset + 1] as const].sort((a, b) => a[0] - b[0]);
  const joined: (readonly [number, number])[] = [];
  let { next } = progress;
  for (const [from, to] of ranges) {
    const last = joined.at(-1);
    if (from <= next) next = Math.max(next, to);
    else if (last !== undefined && from <= last[1]) joined[joined.length - 1] = [last[0], Math.max(last[1], to)];
    else joined.push([from, to]);
  }
  return { next, done: joined };
}

/** True when the message at this offset is done. */
export function isDone(progress: GroupProgress, offset: number): boolean {
  return offset < progress.next || progress.done.some(([from, to]) => offset >= from && offset < to);
}
