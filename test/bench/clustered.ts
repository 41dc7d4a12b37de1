import { join } from 'node:path';
import { startStack } from '@nanosync/testkit';
import type { BenchContext } from './bench-context.ts';
import { makeBenchTable } from './bench-table.ts';
import type { ClusterBench } from './cluster-context.ts';
import { changesToKafka, prepareFollowed } from './kafka-changes.ts';
import { measureLatency } from './latency.ts';
import type { Series } from './report.ts';
import { LIMITED_ROWS, measureToKafka, measureTwoWorkers } from './to-kafka.ts';

const TABLE = 'public.bench';
const LIMITED = 'public.bench_limited';

/** Measures the services as processes of their own, up to Kafka's acknowledgement. The table is filled. */
export async function measureClustered(
  context: BenchContext,
  { changes, runs }: { readonly changes: number; readonly runs: number },
): Promise<Series> {
  await using stack = new AsyncDisposableStack();
  context.say('starting Kafka, a schema registry and Redis ...');
  const directory = join(context.workplace.directory, 'stack');
  const engines = stack.use(await startStack({ directory, services: ['kafka', 'registry', 'redis'], log: context.say }));
  const bench: ClusterBench = { ...context, engines };
  await makeBenchTable(context.admin, LIMITED, Math.min(LIMITED_ROWS, context.rows));
  const waiting = stack.use(await prepareFollowed(bench, 'changes', 'public.bench_changes'));
  const live = stack.use(await prepareFollowed(bench, 'latency', 'public.bench_latency'));
  const capture = changesToKafka(bench, waiting);
  const series = new Map<string, number[]>();
  const note = (name: string, value: number) => series.set(name, [...(series.get(name) ?? []), value]);
  for (let run = 1; run <= runs; run++) {
    const copy = await context.baselines.copy(context.dsn, TABLE);
    const copied = await measureToKafka(bench, TABLE, run);
    const stream = await capture.run(changes);
    const latency = await measureLatency(bench, live, run);
    const workers = await measureTwoWorkers(bench, LIMITED, run);
    note('copy_rows_per_s', context.rows / copy);
    note('to_kafka_rows_per_s', context.rows / copied.seconds);
    note('to_kafka_vs_copy', copy / copied.seconds);
    note('recvlogical_changes_per_s', changes / stream.baseline);
    note('changes_per_s', changes / stream.seconds);
    note('changes_vs_recvlogical', stream.baseline / stream.seconds);
    note('latency_p50_ms', latency.p50);
    note('latency_p99_ms', latency.p99);
    note('two_workers_vs_one', workers.ratio);
    note('partitions_read_twice', workers.repeated);
    note('worker_rss_mb', copied.workerMb);
    note('capture_rss_mb', stream.rssMb);
    context.say(
      `run ${run}: COPY ${copy.toFixed(1)} s, to Kafka ${copied.seconds.toFixed(1)} s; bare slot ${stream.baseline.toFixed(1)} s, capture ` +
        `${stream.seconds.toFixed(1)} s; latency ${latency.p50.toFixed(1)} and ${latency.p99.toFixed(1)} ms; two workers take ` +
        `${workers.ratio.toFixed(2)} of one's time; worker ${copied.workerMb} MB, capture ${stream.rssMb} MB`,
    );
  }
  return series;
}
