import { busPartitionOf, ChangeCodec, positionOf, UNCHANGED } from '@nanosync/core';
import { FakeClock } from '@nanosync/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCli } from './fakes.ts';
import { BUS_PARTITIONS, LINES, ORDERS, storeShop, TapPublisher, type TapStore } from './tap-fixture.ts';

const START = Date.UTC(2026, 0, 1);
/** Kafka gives messages its own time, the other buses that of the test's clock: tests take times from what they see. */
const TIMESTAMP = /^2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
/** What `tap` shows, wherever the bus is. */
export function describeTap(name: string, makeStore: () => Promise<TapStore>): void {
  describe(`tap on the bus ${name}`, () => tests(makeStore));
}

function tests(makeStore: () => Promise<TapStore>): void {
  let store: TapStore;
  let cli: TestCli;
  let clock: FakeClock;
  beforeEach(async () => {
    store = await makeStore();
    clock = new FakeClock(START);
    cli = new TestCli({ bus: () => store.read() });
    await storeShop(store.state(cli));
    await publish((publisher) => publisher.topics());
  });
  afterEach(async () => {
    cli[Symbol.dispose]();
    await store[Symbol.asyncDispose]();
  });

  async function publish(work: (publisher: TapPublisher) => Promise<void>): Promise<void> {
    const opened = await store.write(clock);
    await work(new TapPublisher(opened, store.topics, clock));
    await opened.bus[Symbol.asyncDispose]();
  }

  async function tap(...args: readonly string[]): Promise<readonly Record<string, unknown>[]> {
    const status = await cli.ask('tap', 'shop', '--json', ...store.place(cli), ...args);
    expect(status, cli.err.join('\n')).toBe(0);
    return cli.out.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  const refusal = async (...args: readonly string[]) => {
    const status = await cli.ask('tap', 'shop', ...store.place(cli), ...args);
    expect([status, cli.out]).toEqual([2, []]);
    return cli.err.join('\n');
  };

  it('decodes what every topic holds, without loss and in order of time', async () => {
    await publish(async (publisher) => {
      await publisher.task('shop', ORDERS);
      await publisher.task('another', ORDERS);
      await publisher.rows(ORDERS, [
        [2n ** 62n, -1050n, 'a'],
        [2n, null, null],
      ]);
      await publisher.change(ORDERS, 16n, { before: [1n, null, null], after: [1n, 200n, UNCHANGED] });
      await publisher.watermark(ORDERS, 17n);
      await publisher.quarantined(ORDERS, Buffer.from('k'));
      await publisher.foreign();
    });
    const entries = await tap();
    const name = { table: 'public.orders', epoch: 'e0e0e0e0e0e0e0e0', partition: 3 };
    const attempt = { ...name, attempt: 'a1a1a1a1a1a1a1a1' };
    const watermark = { kind: 'control', event: 'watermark', table: 'public.orders', position: positionOf(17n, 0n), session: 1 };
    expect(
      entries.map(({ topic: _topic, offset: _offset, bus_partition: _partition, timestamp: _timestamp, ...fields }) => fields),
    ).toEqual([
      { kind: 'task', pipeline: 'shop', ...name, partitions: 5, order: 1, range: '1:9' },
      { kind: 'row', ...attempt, batch: 0, row: { id: '4611686018427387904', total: '-10.50', note: 'a' } },
      { kind: 'row', ...attempt, batch: 0, row: { id: '2', total: null, note: null } },
      { kind: 'end', ...attempt, batches: 1, rows: 2, quarantined: 0 },
      {
        kind: 'change',
        table: 'public.orders',
        before: { id: '1', total: null, note: null },
        after: { id: '1', total: '2.00', note: null },
        op: 'u',
        source: { db: 'shopdb', schema: 'public', table: 'orders', lsn: positionOf(16n, 5n), txId: 77, ts_ms: 1_700_000_000_000 },
        ts_ms: 1_700_000_000_000,
        session: 1,
        position: positionOf(16n, 5n),
        epoch: name.epoch,
        unchanged: ['note'],
        rowless: false,
      },
      expect.objectContaining(watermark),
      expect.objectContaining(watermark),
      { kind: 'quarantined', table: 'public.orders', epoch: name.epoch, origin: 'partition 3', reason: 'out of range', payload: 'Af8=' },
      { kind: 'undecodable', reason: expect.stringContaining('2313'), bytes: 6 },
    ]);
    expect(entries[0]).toMatchObject({
      topic: store.topics.tasks,
      bus_partition: 1,
      offset: 0,
      timestamp: expect.stringMatching(TIMESTAMP),
    });
    expect(await tap('--topic', 'rows', '--topic', 'tasks,control')).toHaveLength(6);
    expect((await tap('--topic', 'changes')).map(({ kind }) => kind)).toEqual(['change']);
  });

  it('shows the same for people, with what the log left out said to be so', async () => {
    await publish(async (publisher) => {
      await publisher.rows(ORDERS, [[1n, 5n, 'x\u001b[2J']]);
      await publisher.change(ORDERS, 16n, { before: [1n, null, null], after: [2n, 200n, UNCHANGED] });
      await publisher.change(ORDERS, 17n, { op: 'd', before: [2n, null, null] });
    });
    expect(await cli.ask('tap', 'shop', ...store.place(cli))).toBe(0);
    expect(cli.out.map((line) => line.replace(/^\S+ \S+ \[\d@\d\] +/, ''))).toEqual([
      'row public.orders {id: "1", total: "0.05", note: "x\\u001b[2J"} partition=3 batch=0 attempt=a1a1a1a1a1a1a1a1',
      'end public.orders epoch=e0e0e0e0e0e0e0e0 partition=3 attempt=a1a1a1a1a1a1a1a1 batches=1 rows=1 quarantined=0',
      `update public.orders {id: "2", total: "2.00", note: (unchanged)} before {id: "1"} position=${positionOf(16n, 5n)} session=1 epoch=e0e0e0e0e0e0e0e0 tx=77`,
      `delete public.orders {id: "2"} position=${positionOf(17n, 5n)} session=1 epoch=e0e0e0e0e0e0e0e0 tx=77`,
    ]);
  });

  it('finds one row by its key, in every topic that can hold it', async () => {
    const key = new ChangeCodec(LINES).key([7, 'a,b', null]);
    await publish(async (publisher) => {
      await publisher.rows(LINES, [
        [7, 'x', null],
        [7, 'a,b', 1_700_000_000_123_456n],
        [8, 'a,b', null],
      ]);
      await publisher.rows(ORDERS, [[7n, null, 'of another table']]);
      await publisher.change(LINES, 16n, { after: [7, 'a,b', null] });
      await publisher.change(LINES, 17n, { after: [7, 'a', null] });
      await publisher.change(LINES, 18n, { op: 't' });
      await publisher.quarantined(LINES, key);
      await publisher.watermark(LINES, 19n);
    });
    const found = await tap('--table', 'order_lines', '--key', '[7, "a,b"]');
    expect(found.map(({ kind, op }) => op ?? kind)).toEqual(['row', 'u', 't', 'quarantined']);
    expect(found[0]?.row).toEqual({ order_id: 7, code: 'a,b', sold: '2023-11-14T22:13:20.123456Z' });
    expect(await tap('--table', 'public.order_lines', '--key', '{"code": "a,b", "order_id": 7}')).toEqual(found);
    expect((await tap('--table', 'order_lines', '--key', '7,x')).map(({ kind, op }) => op ?? kind)).toEqual(['row', ...['t']]);
  });

  it('begins and ends at times and positions', async () => {
    await publish(async (publisher) => {
      for (let lsn = 1n; lsn <= 40n; lsn++) await publisher.change(ORDERS, lsn, { after: [lsn, null, 'n'] });
      await publisher.rows(ORDERS, [[1n, null, null]]);
    });
    const ids = (entries: readonly Record<string, unknown>[]) => entries.map(({ after }) => Number((after as { id: string }).id));
    const between = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
    expect(ids(await tap('--from', '0/B', '--to', positionOf(20n, 5n)))).toEqual(between(11, 20));
    const times = (await tap('--topic', 'changes')).map(({ timestamp }) => String(timestamp));
    const [from = '', to = '', late = ''] = [times[10], times[12], times[37]];
    const within = (low: string, high: string) =>
      between(1, 40).filter((id) => low <= String(times[id - 1]) && String(times[id - 1]) <= high);
    expect(within(from, to).length).toBeLessThan(20);
    expect(ids(await tap('--from', from, '--to', to.replace('T', ' ').replace('Z', '')))).toEqual(within(from, to));
    expect(ids(await tap('--topic', 'changes', '--from', late))).toEqual(within(late, '3'));
    expect(ids(await tap('--topic', 'changes', '--limit', '3'))).toEqual([1, 2, 3]);
    expect(cli.err).toEqual([`note: stopped after 3 lines; --limit 0 shows all, --from ${times[3]} goes on here.`]);
    expect(await tap('--from', '0/FFFF')).toEqual([]);
    expect(cli.err).toEqual(['note: no message on the bus is as asked for.']);
  });

  it('keeps the order of positions over bus partitions and sessions, and loses nothing to one that went back', async () => {
    await publish(async (publisher) => {
      const send = (lsn: bigint, session: number) => publisher.change(ORDERS, lsn, { after: [lsn, null, 'n'], session });
      for (const lsn of [1n, 2n, 4n, 3n, 6n, 5n, 8n]) await send(lsn, 1);
      for (const lsn of [4n, 3n, 6n, 5n, 8n, 9n, 12n]) await send(lsn, 2);
    });
    const order = (entries: readonly Record<string, unknown>[]) =>
      entries.map(({ session, after }) => `${session}:${(after as { id: string }).id}`);
    const all = order(await tap('--topic', 'changes'));
    expect(all).toHaveLength(14);
    expect([...all].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))).toEqual(all);
    const from = order(await tap('--from', '0/6'));
    for (const seen of ['2:6', '2:8', '2:9', '2:12']) expect(from).toContain(seen);
    expect(from.filter((one) => Number(one.slice(2)) < 6)).toEqual([]);
  });

  it('says from when on messages are kept, when more was asked for', async () => {
    await publish(async (publisher) => {
      for (let lsn = 1n; lsn <= 10n; lsn++) await publisher.change(ORDERS, lsn, { after: [1n, null, 'n'] });
    });
    const times = (await tap()).map(({ timestamp }) => String(timestamp));
    expect(cli.err).toEqual([]);
    await publish(async (publisher) => {
      const partition = busPartitionOf(new ChangeCodec(ORDERS).key([1n, null, null]), BUS_PARTITIONS);
      await publisher.trim(store.topics.changes('shop', 'public.orders'), partition, 6);
    });
    const removed = [`note: changes of public.orders: messages before ${times[6]} were removed after \`keep\`, once they were durable.`];
    expect(await tap()).toHaveLength(4);
    expect(cli.err).toEqual(removed);
    expect(await tap('--from', '0/3')).toHaveLength(4);
    expect(cli.err).toEqual(removed);
    expect(await tap('--from', String(times[8]))).toHaveLength(times.filter((time) => time >= String(times[8])).length);
    expect(cli.err).toEqual([]);
  });

  it('refuses what cannot be meant, with the likely cure', async () => {
    expect(await refusal('--table', 'ordrs')).toBe('pipeline shop has no table "ordrs". Did you mean public.orders?');
    expect(await refusal('--topic', 'change')).toBe(
      '--topic takes rows, changes, control, tasks, quarantine, not "change". Did you mean changes?',
    );
    expect(await refusal('--from', 'yesterday')).toContain('--from "yesterday" is neither a time nor a position.');
    expect(await refusal('--key', '1')).toContain('Name it as well: --table public.orders');
    expect(await refusal('--table', 'orders', '--key', 'x1')).toBe(
      'The key of public.orders is (id) and needs a whole number for id. Write --key <value>.',
    );
    expect(await refusal('--table', 'order_lines', '--key', '7')).toContain('has 2 columns');
    expect(await refusal('--topic', 'rows', '--from', '0/1')).toContain('Messages of rows have no position.');
    expect(await refusal('--limit', 'x')).toBe('--limit takes a whole number, not "x".');
    expect(await cli.ask('tap', 'shopp', ...store.place(cli))).toBe(2);
    expect(cli.err).toEqual(['there is no pipeline "shopp". Did you mean shop?']);
  });
}
