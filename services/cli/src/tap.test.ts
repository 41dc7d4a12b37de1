import { FakeClock } from '@nanosync/testkit';
import { expect, it, vi } from 'vitest';
import { TestCli } from './testing/fakes.ts';
import { embeddedTapStore, memoryTapStore, ORDERS, storeShop, TapPublisher } from './testing/tap-fixture.ts';
import { describeTap } from './testing/tap-suite.ts';

describeTap('in memory', memoryTapStore);
describeTap('embedded', embeddedTapStore);

it('follows what comes, from now on, until it is told to end', { timeout: 20_000 }, async () => {
  await using store = await memoryTapStore();
  using cli = new TestCli({ bus: () => store.read() });
  await storeShop(store.state(cli));
  const publisher = new TapPublisher(await store.write(new FakeClock()), store.topics, new FakeClock());
  await publisher.topics();
  await publisher.change(ORDERS, 1n, { after: [1n, null, 'before'] });
  const running = cli.ask('tap', 'shop', '--json', '--follow', '--data-dir', cli.dataDir);
  let lsn = 2n;
  await vi.waitFor(
    async () => {
      await publisher.change(ORDERS, lsn, { after: [lsn++, null, 'after'] });
      expect(cli.out.length).toBeGreaterThan(2);
    },
    { timeout: 10_000 },
  );
  cli.stop.abort();
  expect(await running).toBe(0);
  const ids = cli.out.map((line) => Number((JSON.parse(line) as { after: { id: string } }).after.id));
  expect(ids).toEqual(ids.map((_, at) => (ids[0] as number) + at));
  expect(ids).not.toContain(1);
});

it('ends when nobody reads its output any more', async () => {
  await using store = await memoryTapStore();
  using cli = new TestCli({ bus: () => store.read() });
  await storeShop(store.state(cli));
  const publisher = new TapPublisher(await store.write(new FakeClock()), store.topics, new FakeClock());
  await publisher.topics();
  const running = cli.ask('tap', 'shop', '--follow', '--data-dir', cli.dataDir);
  cli.outputGone.abort();
  expect(await running).toBe(0);
});
