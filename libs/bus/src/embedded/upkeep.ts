import { PipelineError } from '@nanosync/core';
import type { TopicRecord } from './index-store.ts';
import { type LogStore, noTopic, requirePartition } from './log-store.ts';
import { partitionKey } from './waiters.ts';

/** Chunks that one commit removes at most: its pages are held in memory until it is done. */
const REMOVE_CHUNKS = 20_000;

/** Removes messages below `before`. Readers see it at once, disk space returns by whole segments. */
export async function trim(store: LogStore, name: string, partition: number, before: number): Promise<void> {
  const topic = store.requireTopic(name);
  requirePartition(name, topic, partition);
  await store.submit({
    apply: () => {
      if (store.index.topic(name)?.id !== topic.id) throw noTopic(name);
      const { start, end } = store.index.range(topic.no, partition);
      if (before > end) throw new PipelineError('gap', `Topic ${name} ends at ${end}, it cannot be trimmed below ${before}.`);
      if (before > start) store.index.setRange(topic.no, partition, { start: before, end });
    },
  });
  await removeChunks(store, topic.no, partition, () => store.index.range(topic.no, partition).start);
  await removeEmptySegments(store, topic.no, false);
}

/** Deletes a topic with its groups. It is gone at once; the rest is taken up again by the next open after a crash. */
export async function deleteTopic(store: LogStore, name: string): Promise<void> {
  store.assertOpen();
  const topic = await store.submit({
    apply: () => {
      const found = store.index.topic(name);
      if (found === undefined) return undefined;
      store.index.delete(`topic:${name}`);
      store.index.put(`dropped:${found.no}`, found);
      for (const group of store.index.list(`group:${found.no}/`)) store.index.delete(group.name);
      return found;
    },
  });
  if (topic === undefined) return;
  for (let partition = 0; partition < topic.partitions; partition++) store.waiters.wake(partitionKey(topic.no, partition));
  await purge(store, topic);
}

/** Finishes what a crash interrupted: topics half deleted, segment files without an entry. */
export async function removeOrphans(store: LogStore): Promise<void> {
  // Files first: one whose number was not yet in the index when it was made does not exist.
  const files = store.segments.files();
  store.index.refresh();
  const known = new Set(store.index.segments().map(({ segment }) => segment));
  for (const segment of files) if (!known.has(segment)) await store.segments.remove(segment);
  for (const { value } of store.index.list<TopicRecord>('dropped:')) await purge(store, value);
}

async function purge(store: LogStore, topic: TopicRecord): Promise<void> {
  for (let partition = 0; partition < topic.partitions; partition++) {
    await removeChunks(store, topic.no, partition, () => Number.MAX_SAFE_INTEGER);
  }
  await removeEmptySegments(store, topic.no, true);
  await store.submit({
    apply: () => {
      for (let partition = 0; partition < topic.partitions; partition++) store.index.deleteRange(topic.no, partition);
      store.index.delete(`dropped:${topic.no}`);
    },
  });
}

async function removeChunks(store: LogStore, topicNo: number, partition: number, before: () => number): Promise<void> {
  const removeSome = () => {
    const limit = before();
    const live = new Map<number, number>();
    const ends: number[] = [];
    for (const { end, segment } of store.index.chunks(topicNo, partition, 0)) {
      if (end > limit || ends.length === REMOVE_CHUNKS) break;
      ends.push(end);
      live.set(segment, (live.get(segment) ?? store.index.liveChunks(segment) ?? 0) - 1);
    }
    for (const end of ends) store.index.deleteChunk(topicNo, partition, end);
    for (const [segment, count] of live) store.index.setSegment(segment, topicNo, Math.max(count, 0));
    return ends.length;
  };
  while ((await store.submit({ apply: removeSome })) === REMOVE_CHUNKS);
}

async function removeEmptySegments(store: LogStore, topicNo: number, all: boolean): Promise<void> {
  const removed = await store.submit({
    ...(all && { retire: topicNo }),
    apply: () => {
      const gone = store.index
        .segments()
        .filter((one) => one.topicNo === topicNo && (all || (one.live === 0 && !store.committer.uses(one.segment))))
        .map(({ segment }) => segment);
      for (const segment of gone) store.index.deleteSegment(segment);
      return gone;
    },
  });
  for (const segment of removed) await store.segments.remove(segment);
}
