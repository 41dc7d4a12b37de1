import type { ServiceContext } from '@nanosync/core';
import { FakeClock, openMemoryBus } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { Trimmer } from './trimmer.ts';

const HOUR = 3_600_000;

/** A topic with one message an hour, ten in all, in one partition; the clock stands at the last one. */
async function topicOfTenHours() {
  const clock = new FakeClock();
  const { bus } = await openMemoryBus({ clock, ids: { next: () => 'id' } });
  await bus.ensureTopic('t', 1);
  await using producer = await bus.producer();
  for (let hour = 0; hour < 10; hour++) {
    if (hour > 0) await clock.advance(HOUR);
    await producer.send('t', 0, [{ key: Buffer.from('k'), value: Buffer.from(String(hour)) }]);
  }
  const start = async () => (await bus.topic('t'))?.partitions[0]?.start;
  const trimmer = (keepMs: number) => new Trimmer({ bus, clock, keepMs } as unknown as ServiceContext, 't');
  return { clock, start, trimmer };
}

test('what is older than `keep` and durable goes, what is younger stays', async () => {
  const { clock, start, trimmer } = await topicOfTenHours();
  const trim = trimmer(3.5 * HOUR);
  await clock.advance(61_000);
  await trim.trim([10]);
  expect(await start()).toBe(6);
});

test('what is not applied yet never goes, however old, and the last applied message stays', async () => {
  const { clock, start, trimmer } = await topicOfTenHours();
  const trim = trimmer(0);
  await clock.advance(61_000);
  await trim.trim([4]);
  expect(await start()).toBe(3);
  await clock.advance(61_000);
  await trim.trim([10]);
  expect(await start()).toBe(9);
});

test('nothing applied, nothing trimmed; and it looks once a minute', async () => {
  const { clock, start, trimmer } = await topicOfTenHours();
  const trim = trimmer(0);
  await trim.trim([10]);
  expect(await start()).toBe(0);
  await clock.advance(61_000);
  await trim.trim([0]);
  expect(await start()).toBe(0);
});
