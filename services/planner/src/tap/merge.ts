import type { TapStream } from './tap-stream.ts';

/**
 * The stream whose head comes next, undefined when no stream has one. Changes are ordered among themselves by session and position,
 * because those of one transaction lie in several bus partitions with times of their own; the first of them and the heads of all
 * other topics are ordered by time.
 */
export function leastHead(streams: readonly TapStream[]): TapStream | undefined {
  let change: TapStream | undefined;
  let other: TapStream | undefined;
  for (const stream of streams) {
    if (stream.head === undefined) continue;
    if (stream.topic.kind === 'changes') change = change === undefined || comesFirst(stream, change) ? stream : change;
    else other = other === undefined || timeOf(stream) < timeOf(other) ? stream : other;
  }
  if (change === undefined || other === undefined) return change ?? other;
  return timeOf(other) <= timeOf(change) ? other : change;
}

function comesFirst(a: TapStream, b: TapStream): boolean {
  const left = a.head as NonNullable<TapStream['head']>;
  const right = b.head as NonNullable<TapStream['head']>;
  if (left.session !== right.session) return left.session < right.session;
  return left.position === right.position ? timeOf(a) < timeOf(b) : left.position < right.position;
}

function timeOf(stream: TapStream): number {
  return stream.head?.message.timestampMs ?? 0;
}
