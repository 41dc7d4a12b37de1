import type { MemoryBusStore } from '@nanosync/testkit';
import type { Random } from './random.ts';

/** The bus comes back without what it got after this time; what groups had done of it is forgotten too. */
export function restoreBus(store: MemoryBusStore, untilMs: number): void {
  for (const topic of store.topics.values())
    for (const [partition, log] of topic.partitions.entries()) {
      const kept = log.messages.filter(({ timestampMs }) => timestampMs <= untilMs).length;
      log.messages.splice(kept);
      const end = log.start + kept;
      for (const progress of topic.groups.values()) {
        const place = progress[partition];
        if (place === undefined) continue;
        place.next = Math.min(place.next, end);
        for (const offset of [...place.done]) if (offset >= end) place.done.delete(offset);
      }
    }
}

/** One topic of rows or changes comes back empty, as another one of the same name. */
export function loseTopic(store: MemoryBusStore, random: Random, id: string): void {
  const names = [...store.topics.keys()].filter((name) => name.endsWith('.rows') || name.endsWith('.changes')).sort();
  if (names.length === 0) return;
  const name = random.pick(names);
  const partitions = (store.topics.get(name)?.partitions ?? []).map(() => ({ start: 0, messages: [] }));
  store.topics.set(name, { id, partitions, groups: new Map() });
}

/** Group progress of the task topic goes back by so many messages: they are handed out again. True where there were any. */
export function forgetDone(store: MemoryBusStore, messages: number): boolean {
  let wasAny = false;
  for (const [name, topic] of store.topics) {
    if (!name.endsWith('.tasks')) continue;
    for (const progress of topic.groups.values())
      for (const [partition, place] of progress.entries()) {
        const start = topic.partitions[partition]?.start ?? 0;
        if (place.next <= start) continue;
        place.next = Math.max(start, place.next - messages);
        place.done.clear();
        wasAny = true;
      }
  }
  return wasAny;
}
