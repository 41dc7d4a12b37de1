import type { Bus, Log, Producer } from '@nanosync/core';
import { PipelineError, topicsOf } from '@nanosync/core';
import { createLog, createRedactor, randomIds, systemClock } from '@nanosync/runtime';
import { memoryBusStore, openMemoryBus } from '@nanosync/testkit';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { LogKeeper } from './log-keeper.ts';
import { TestCli } from './testing/fakes.ts';

const TOPIC = topicsOf().logs;
const PATIENCE = { timeout: 15_000 };
/** Waits pass at once, but for that of the end. */
const clock = {
  ...systemClock(),
  sleep: (ms: number, signal?: AbortSignal) => systemClock().sleep(ms === 2000 ? ms : Math.min(ms, 5), signal),
};

let store = memoryBusStore();
afterEach(() => {
  store = memoryBusStore();
});
const openBus = () => openMemoryBus({ clock: systemClock(), ids: randomIds(), store });

/** A log as a server has it, whose lines are kept on a bus. */
function keptLog(bus: Bus) {
  const printed: string[] = [];
  const redactor = createRedactor();
  const keeper = new LogKeeper(clock);
  const log = createLog({
    ...{ format: 'human', redact: redactor.redact, also: keeper.add },
    write: (line) => {
      printed.push(line.trimEnd());
    },
  });
  return { printed, redactor, keeper, log, begin: () => keeper.keepOn(bus, TOPIC, log) };
}

async function keep(write: (log: Log) => void): Promise<readonly string[]> {
  const { bus } = await openBus();
  const { printed, keeper, log, begin } = keptLog(bus);
  begin();
  write(log);
  await keeper[Symbol.asyncDispose]();
  return printed;
}

async function logs(...args: readonly string[]) {
  using cli = new TestCli({ bus: openBus });
  const status = await cli.ask('logs', ...args, '--data-dir', cli.dataDir);
  return { status, out: cli.out, err: cli.err };
}

describe('the lines of all services', () => {
  it('are printed as the service printed them, and as JSON', async () => {
    const printed = await keep((log) => {
      const planner = log.with({ service: 'planner' }).with({ pipeline: 'shop' });
      planner.info('table live', { table: 'public.orders', gone: undefined });
      planner.warn('planner waits', { err: 'two words' });
      log.debug('not kept');
    });
    expect(printed).toHaveLength(2);
    expect(await logs()).toEqual({ status: 0, out: printed, err: [] });
    const [first = ''] = (await logs('--json')).out;
    expect(JSON.parse(first)).toEqual({
      ...{ level: 'info', time: expect.stringMatching(/Z$/), service: 'planner', pipeline: 'shop' },
      ...{ table: 'public.orders', msg: 'table live' },
    });
  });

  it('are chosen by service, pipeline and level, the newest first to stay', async () => {
    await keep((log) => {
      for (const service of ['planner', 'sink-writer'])
        for (const pipeline of ['a', 'b']) log.with({ service, pipeline }).info('works', { n: `${service} ${pipeline}` });
      log.error('broken', { service: 'planner', pipeline: 'a' });
      log.info('pipeline anchored', { name: 'b' });
    });
    expect((await logs('--service', 'planner')).out).toHaveLength(3);
    expect((await logs('--pipeline', 'b')).out).toHaveLength(3);
    expect((await logs('--level', 'warn')).out).toEqual(['ERR broken service=planner pipeline=a']);
    expect((await logs('--limit', '1')).out).toEqual(['INF pipeline anchored name=b']);
    expect((await logs('--limit', '0')).out).toHaveLength(6);
    expect(await logs('--service', 'nobody')).toEqual({ status: 0, out: [], err: ['note: no line that is kept is as asked for.'] });
    expect((await logs('--limit', 'many')).status).toBe(2);
    expect((await logs('--level', 'loud')).status).toBe(2);
  });

  it('are followed from before the first service wrote one', { timeout: 20_000 }, async () => {
    using cli = new TestCli({ bus: openBus });
    const following = cli.ask('logs', '--follow', '--data-dir', cli.dataDir);
    await keep((log) => log.info('first'));
    await vi.waitFor(() => expect(cli.out).toEqual(['INF first']), PATIENCE);
    await keep((log) => log.info('second'));
    await vi.waitFor(() => expect(cli.out).toEqual(['INF first', 'INF second']), PATIENCE);
    cli.stop.abort();
    expect(await following).toBe(0);
  });

  it('hold no secret', async () => {
    const { bus } = await openBus();
    const { redactor, keeper, log, begin } = keptLog(bus);
    redactor.add('hunter2');
    begin();
    log.with({ dsn: 'postgres://app:other@h/d' }).error('refused hunter2', { err: 'password=s3cret for hunter2' });
    await keeper[Symbol.asyncDispose]();
    const kept = store.topics.get(TOPIC);
    expect(kept).toBeDefined();
    const { out } = await logs('--json');
    const reader = await bus.reader(TOPIC, 0, 0);
    const [message] = await reader.read({ maxBytes: 10_000, waitMs: 0 });
    for (const text of [Buffer.from(message?.value ?? []).toString(), out.join()]) {
      expect(text).toContain('refused ***');
      for (const secret of ['hunter2', 'other', 's3cret']) expect(text).not.toContain(secret);
    }
  });
});

describe('the keeper of lines', () => {
  /** A bus that takes nothing while it is told to be away. */
  async function flaky() {
    const { bus } = await openBus();
    const away = { is: true, asked: 0 };
    const producer = async (): Promise<Producer> => {
      const inner = await bus.producer();
      return {
        send: async (...sent) => {
          away.asked++;
          if (away.is) throw new PipelineError('unavailable', 'The bus is away.');
          return inner.send(...sent);
        },
        [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
      };
    };
    const ensureTopic: Bus['ensureTopic'] = (name, partitions) => bus.ensureTopic(name, partitions);
    const trim: Bus['trim'] = (topic, partition, before) => bus.trim(topic, partition, before);
    return { bus: { ...({} as Bus), ensureTopic, producer, trim }, inner: bus, away };
  }

  it('keeps what was written while the bus was away, up to a bound, and says how many were not', async () => {
    const { bus, away } = await flaky();
    const { printed, keeper, log, begin } = keptLog(bus);
    begin();
    for (let n = 0; n < 2500; n++) log.info('line', { n });
    await vi.waitFor(() => expect(away.asked).toBeGreaterThan(2), PATIENCE);
    expect(printed).toHaveLength(2500); // Nothing of itself, however often it fails.
    away.is = false;
    await vi.waitFor(() => expect(printed.at(-1)).toBe('WRN log lines were not kept on the bus lines=500'), PATIENCE);
    await keeper[Symbol.asyncDispose]();
    const { out } = await logs('--limit', '0');
    expect(out).toHaveLength(2001);
    expect(out.slice(-2)).toEqual(['INF line n=1999', 'WRN log lines were not kept on the bus lines=500']);
  });

  it('ends while the bus is away, whatever is wrong with it', async () => {
    const { keeper, log, begin } = keptLog({} as Bus);
    begin();
    log.info('line');
    await keeper[Symbol.asyncDispose]();
    log.info('later');
  });

  it('leaves a bound of lines on the bus, and none that is too long', async () => {
    const { bus } = await openBus();
    const { keeper, log, begin } = keptLog(bus);
    begin();
    log.error('long', { err: 'x'.repeat(1_000_000) });
    log.error('too long', Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`f${n}`, 'x'.repeat(4000)])));
    for (let n = 0; n < 12_000; n++) {
      log.info('line', { n });
      if (n % 1500 === 0)
        await vi.waitFor(async () => expect((await bus.topic(TOPIC))?.partitions[0]?.end ?? 0).toBeGreaterThan(n), PATIENCE);
    }
    await keeper[Symbol.asyncDispose]();
    const { start = 0, end = 0 } = (await bus.topic(TOPIC))?.partitions[0] ?? {};
    expect(end).toBeGreaterThan(12_000);
    expect(end - start).toBeLessThanOrEqual(11_000);
    expect((await logs('--limit', '1')).out).toEqual(['INF line n=11999']);
  });
});
