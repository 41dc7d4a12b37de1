import { instantText } from '@nanosync/api';
import type { Bus, Clock, Registry } from '@nanosync/core';
import { MessageDecoder } from './decoder.ts';
import type { TapEntry } from './entry.ts';
import { isWanted } from './filter.ts';
import { leastHead } from './merge.ts';
import { seek } from './seek.ts';
import type { TapSelection, TapTopic } from './selection.ts';
import { onlyPartition } from './selection.ts';
import { type StreamParts, TapStream } from './tap-stream.ts';

/** How long a message within the known end may take to arrive. */
const BACKLOG_MS = 10_000;
/** How long following waits in each bus partition: the most that a new line comes late. */
const FOLLOW_MS = 250;
/** How often following looks for topics that were not there yet. */
const TOPICS_MS = 2000;

/** What reading works with. */
export interface TapBus {
  readonly bus: Bus;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly note: (sentence: string) => void;
}

/**
 * The entries that are asked for, bus partitions merged: messages of change topics by session and position, these and all others by
 * time. Ends at what was on the bus when it began, or with `follow` at the signal.
 */
export async function* readTap(tap: TapBus, selection: TapSelection): AsyncGenerator<TapEntry> {
  await using resources = new AsyncDisposableStack();
  const decoder = new MessageDecoder(tap.registry);
  const streams: TapStream[] = [];
  const open = async (topic: TapTopic, bound: TapSelection['from']) => {
    const opened = await openTopic(tap, decoder, { ...selection, from: bound }, topic);
    for (const stream of opened ?? []) streams.push(resources.use(stream));
    return opened !== undefined;
  };
  let absent: TapTopic[] = [];
  for (const topic of selection.topics) if (!(await open(topic, selection.from))) absent.push(topic);
  yield* backlog(streams, selection, tap.signal);
  if (!selection.follow) return;
  for (const stream of streams) stream.follow();
  let lookedMs = tap.clock.monotonicMs();
  while (!tap.signal.aborted) {
    if (streams.length === 0) await tap.clock.sleep(FOLLOW_MS, tap.signal);
    await Promise.all(streams.map((stream) => stream.fill(FOLLOW_MS)));
    yield* inHand(streams, selection);
    if (absent.length === 0 || tap.clock.monotonicMs() - lookedMs < TOPICS_MS) continue;
    const still: TapTopic[] = [];
    for (const topic of absent) if (!(await open(topic, { at: 'beginning' }))) still.push(topic);
    absent = still;
    for (const stream of streams) stream.follow();
    lookedMs = tap.clock.monotonicMs();
  }
}

/** The streams of a topic, undefined while there is no such topic. */
async function openTopic(
  { bus, signal, note }: TapBus,
  decoder: MessageDecoder,
  selection: TapSelection,
  topic: TapTopic,
): Promise<readonly TapStream[] | undefined> {
  const info = await bus.topic(topic.name);
  if (info === undefined) return undefined;
  const only = onlyPartition(selection, topic, info.partitions.length);
  const streams: TapStream[] = [];
  let cutMs: number | null = null;
  for (const [busPartition, range] of info.partitions.entries()) {
    if (only !== undefined && only !== busPartition) continue;
    const parts: StreamParts = { bus, decoder, topic, busPartition, note, signal };
    const beginning = await seek(parts, selection.from, range);
    cutMs = beginning.cutMs === null ? cutMs : Math.max(cutMs ?? 0, beginning.cutMs);
    streams.push(new TapStream(parts, { start: beginning.start, end: range.end }));
  }
  if (cutMs !== null) note(`${topic.label}: messages before ${instantText(cutMs)} were removed after \`keep\`, once they were durable.`);
  return streams;
}

/** Everything up to the ends, each next message chosen among all bus partitions. */
async function* backlog(streams: readonly TapStream[], selection: TapSelection, signal: AbortSignal): AsyncGenerator<TapEntry> {
  for (;;) {
    for (let open = unfilled(streams); open.length > 0 && !signal.aborted; open = unfilled(streams))
      await Promise.all(open.map((stream) => stream.fill(BACKLOG_MS)));
    const least = leastHead(streams);
    if (least === undefined || signal.aborted) return;
    yield* wantedOf(least, selection);
  }
}

function unfilled(streams: readonly TapStream[]): readonly TapStream[] {
  return streams.filter((stream) => stream.head === undefined && !stream.done);
}

/** What has arrived, merged; waits for nothing. */
async function* inHand(streams: readonly TapStream[], selection: TapSelection): AsyncGenerator<TapEntry> {
  for (;;) {
    await Promise.all(streams.filter((stream) => stream.hasMore).map((stream) => stream.fill(0)));
    const least = leastHead(streams);
    if (least === undefined) return;
    yield* wantedOf(least, selection);
  }
}

function* wantedOf(stream: TapStream, selection: TapSelection): Generator<TapEntry> {
  const { message, entries } = stream.take();
  for (const entry of entries) if (isWanted(selection, entry, message)) yield entry;
}
