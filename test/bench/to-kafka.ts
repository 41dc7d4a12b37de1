import type { Progress } from '../demo/progress.ts';
import { BenchCluster, type ClusterBench } from './cluster-context.ts';

/** Partitions as a pipeline has them unless told otherwise. */
const TARGET_ROWS = 100_000;

/** Copies the table to Kafka: seconds from the first read to the last partition's end marker, acknowledged by all replicas. */
export async function measureToKafka(
  bench: ClusterBench,
  table: string,
  run: number,
): Promise<{ readonly seconds: number; readonly workerMb: number }> {
  await using cluster = new BenchCluster(bench, { name: `copy${run}`, table, targetRows: TARGET_ROWS });
  await cluster.apply();
  cluster.start('snapshot-worker', 'snapshot-worker');
  cluster.start('planner', 'planner');
  const read = await cluster.until(allRead);
  const seconds = (read - cluster.saidAt('snapshotting')) / 1000;
  const workerMb = cluster.fleet.peakMb('snapshot-worker');
  await cluster.until(({ tables }) => {
    const rows = tables[0]?.rows;
    if (rows !== bench.rows) throw new Error(`${rows} rows were published of ${bench.rows}`);
    return true;
  });
  await cluster.fleet.finish();
  return { seconds, workerMb };
}

/** Rows that a worker may read a second where reading is held back. */
const LIMIT = 10_000;
/** Rows of the table for {@link measureTwoWorkers}. */
export const LIMITED_ROWS = 100_000;

/** Reads a table under a rate limit with one worker, then with two: their times, and how many partitions were read twice. */
export async function measureTwoWorkers(
  bench: ClusterBench,
  table: string,
  run: number,
): Promise<{ readonly ratio: number; readonly repeated: number }> {
  const one = await readLimited(bench, table, { name: `single${run}`, workers: 1 });
  const two = await readLimited(bench, table, { name: `double${run}`, workers: 2 });
  return { ratio: two.seconds / one.seconds, repeated: one.repeated + two.repeated };
}

async function readLimited(bench: ClusterBench, table: string, { name, workers }: { readonly name: string; readonly workers: number }) {
  const targetRows = LIMITED_ROWS / 50;
  await using cluster = new BenchCluster(bench, { name, table, targetRows, concurrency: 8, maxRowsPerSecond: LIMIT });
  await cluster.apply();
  // The workers have joined their group before there is a task: it is the reading that is compared.
  for (let number = 1; number <= workers; number++) cluster.start(`snapshot-worker ${number}`, 'snapshot-worker');
  await cluster.untilSaid('nanosync snapshot-worker serving — Ctrl-C to stop', workers);
  cluster.start('planner', 'planner');
  let repeated = 0;
  const read = await cluster.until((progress) => {
    repeated = progress.tables[0]?.repeated ?? 0;
    return allRead(progress);
  });
  const seconds = (read - cluster.saidAt('snapshotting')) / 1000;
  await cluster.fleet.finish();
  return { seconds, repeated };
}

function allRead({ tables: [table] }: Progress): boolean {
  return table !== undefined && table.partitions > 0 && table.read === table.partitions;
}
