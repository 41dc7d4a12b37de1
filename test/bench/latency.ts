import { setTimeout as pause } from 'node:timers/promises';
import { openKafkaBus, openSchemaRegistry } from '@nanosync/bus/kafka';
import type { Bus, Log, Registry } from '@nanosync/core';
import { ChangeCodec, CONTROL_EVENT, schemaIdOf, topicsOf } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import { connect } from '../demo/connect.ts';
import { BENCH_VALUES } from './bench-table.ts';
import type { BenchCluster, ClusterBench } from './cluster-context.ts';

/** Commits a second, each of one row. */
const RATE = 200;
const SECONDS = 10;
/** Commits at the beginning that are not counted: the process has just been started. */
const WARM_UP = 2 * RATE;
/** Keys that no other measurement uses. */
const FIRST_KEY = 1_000_000_000;

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, with: () => silent };

/** Milliseconds between a commit, by the source's clock, and its arrival at a consumer of the change topic. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
}

/** Commits steadily while capture follows, and reads the topic as any consumer does. */
export async function measureLatency(bench: ClusterBench, cluster: BenchCluster, run: number): Promise<Latency> {
  await using bus = await openKafkaBus({
    ...{ brokers: bench.engines.kafka.address.brokers, clientId: 'bench', log: silent, clock: systemClock() },
  });
  const registry = await openSchemaRegistry({ url: bench.engines.registry.address.url });
  cluster.forget();
  cluster.start('cdc-capture', 'cdc-capture');
  await cluster.untilSaid('capture session begins', 1);
  const commits = WARM_UP + RATE * SECONDS;
  const from = FIRST_KEY + run * (commits + 1) + 1;
  // Everything else that was written meanwhile lies before a first commit, and capture has to get past it.
  await write(bench, cluster.pipeline.table, { from: from - 1, commits: 1 });
  const before = (run - 1) * (commits + 1);
  await cluster.until(({ tables }) => (tables[0]?.changes ?? 0) > before);
  const topic = topicsOf(cluster.prefix).changes(cluster.pipeline.name, cluster.pipeline.table);
  const arrivals = consume({ bus, registry, topic }, { from, commits }, bench.signal);
  await write(bench, cluster.pipeline.table, { from, commits });
  const delays = (await arrivals).sort((a, b) => a - b);
  await cluster.fleet.finish();
  const at = (share: number) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}

interface Keys {
  readonly from: number;
  readonly commits: number;
}

/** The delay of each commit after the warm-up, once all have arrived. */
async function consume(
  { bus, registry, topic }: { readonly bus: Bus; readonly registry: Registry; readonly topic: string },
  { from, commits }: Keys,
  signal: AbortSignal,
): Promise<number[]> {
  const codecs = new Map<number, ChangeCodec | null>();
  const codecOf = async (id: number) => {
    const known = codecs.get(id);
    if (known !== undefined) return known;
    const schema = await registry.schema(id);
    const codec =
      (JSON.parse(schema) as { name: string }).name === CONTROL_EVENT.name.split('.').at(-1) ? null : ChangeCodec.fromAvro(schema);
    codecs.set(id, codec);
    return codec;
  };
  const delays: number[] = [];
  let arrived = 0;
  const done = new AbortController();
  const ends = AbortSignal.any([signal, done.signal]);
  const info = await bus.topic(topic);
  const follow = async (partition: number, end: number) => {
    await using reader = await bus.reader(topic, partition, end);
    while (!ends.aborted) {
      const messages = await reader.read({ maxBytes: 1_048_576, waitMs: 1000, signal: ends });
      const now = performance.timeOrigin + performance.now();
      for (const { value } of messages) {
        const event = (await codecOf(schemaIdOf(value)))?.decode(value);
        const key = Number(event?.after?.[0] ?? -1);
        if (event === undefined || key < from || key >= from + commits) continue;
        if (key >= from + WARM_UP) delays.push(now - event.commitMs);
        if (++arrived === commits) done.abort();
      }
    }
  };
  await Promise.all((info?.partitions ?? []).map(({ end }, partition) => follow(partition, end)));
  signal.throwIfAborted();
  return delays;
}

async function write(bench: ClusterBench, table: string, { from, commits }: Keys): Promise<void> {
  const client = await connect(bench.dsn, 'bench-writer');
  try {
    const began = performance.now();
    for (let index = 0; index < commits; index++) {
      const early = began + (index * 1000) / RATE - performance.now();
      if (early > 0.5) await pause(early, undefined, { signal: bench.signal });
      await client.query(`INSERT INTO ${table} SELECT ${BENCH_VALUES} FROM (SELECT $1::bigint AS i) AS one`, [from + index]);
    }
  } finally {
    await client.end();
  }
}
