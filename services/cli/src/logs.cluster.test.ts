import { createLog, systemClock } from '@nanosync/runtime';
import { beforeAll, expect, it, vi } from 'vitest';
import { LogKeeper } from './log-keeper.ts';
import { TestCli } from './testing/fakes.ts';
import { kafkaTapStore, type TapStore } from './testing/tap-fixture.ts';

const PATIENCE = { timeout: 60_000 };

// Kafka and registry start with the first test of a run that asks for them, which may take most of a test's time.
let store: TapStore;
beforeAll(async () => {
  store = await kafkaTapStore();
});

it('keeps lines of several processes on Kafka, a bound of them, and follows them', PATIENCE, async () => {
  const { bus } = await store.write(systemClock());
  await using _bus = bus;
  const process = () => {
    const keeper = new LogKeeper(systemClock());
    const log = createLog({ format: 'human', write: () => {}, also: keeper.add });
    keeper.keepOn(bus, store.topics.logs, log);
    return { keeper, log };
  };
  const [planner, worker] = [process(), process()];
  using cli = new TestCli({ bus: () => store.read() });
  const following = cli.ask('logs', '--follow', '--limit', '1', ...store.place(cli));
  planner.log.info('first', { service: 'planner' });
  await vi.waitFor(() => expect(cli.out).toEqual(['INF first service=planner']), PATIENCE);
  worker.log.info('second', { service: 'snapshot-worker' });
  await vi.waitFor(() => expect(cli.out).toEqual(['INF first service=planner', 'INF second service=snapshot-worker']), PATIENCE);
  cli.stop.abort();
  expect(await following).toBe(0);
  // What a send holds waits in the keeper until its answer is there, and Kafka shows it before: twice this many must fit into what may wait.
  for (let n = 0; n < 11_500; n++) {
    planner.log.info('line', { n });
    if (n % 900 === 0)
      await vi.waitFor(async () => expect((await bus.topic(store.topics.logs))?.partitions[0]?.end ?? 0).toBeGreaterThan(n), PATIENCE);
  }
  // The end of a process waits for its last lines no longer than a moment.
  await vi.waitFor(async () => expect((await bus.topic(store.topics.logs))?.partitions[0]?.end).toBe(11_502), PATIENCE);
  await planner.keeper[Symbol.asyncDispose]();
  await worker.keeper[Symbol.asyncDispose]();
  const { start = 0, end = 0 } = (await bus.topic(store.topics.logs))?.partitions[0] ?? {};
  expect(end).toBe(11_502);
  expect(end - start).toBeLessThanOrEqual(11_000);
  using reading = new TestCli({ bus: () => store.read() });
  expect(await reading.ask('logs', '--limit', '1', ...store.place(reading))).toBe(0);
  expect(reading.out).toEqual(['INF line n=11499']);
});
