import { makeBenchTable } from './bench-table.ts';
import type { ChangesBench } from './changes.ts';
import { measureWaiting } from './changes.ts';
import { BenchCluster, type ClusterBench } from './cluster-context.ts';

const FIRST_ROWS = 1000;

/** A small table whose changes capture publishes to Kafka, above its L1: what follows is nothing but changes. */
export async function prepareFollowed(bench: ClusterBench, name: string, table: string): Promise<BenchCluster> {
  await makeBenchTable(bench.admin, table, FIRST_ROWS);
  const cluster = new BenchCluster(bench, { name, table, targetRows: FIRST_ROWS });
  try {
    await cluster.apply();
    for (const service of ['planner', 'snapshot-worker', 'cdc-capture']) cluster.start(service, service);
    await cluster.until(({ tables }) => tables[0]?.l1 != null);
    await cluster.fleet.finish();
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

/** Measures changes that are already in the slot when capture starts, until Kafka has acknowledged the last. */
export function changesToKafka(bench: ClusterBench, cluster: BenchCluster): ChangesBench {
  const { table } = cluster.pipeline;
  let next = FIRST_ROWS + 1;
  return {
    run: async (changes) => {
      const from = next;
      next += changes;
      return measureWaiting(bench, { table, from, changes }, async () => {
        cluster.forget();
        cluster.start('cdc-capture', 'cdc-capture');
        const all = from - FIRST_ROWS - 1 + changes;
        const published = await cluster.until(({ tables }) => (tables[0]?.changes ?? 0) >= all);
        const seconds = (published - cluster.saidAt('capture session begins')) / 1000;
        const rssMb = cluster.fleet.peakMb('cdc-capture');
        await cluster.fleet.finish();
        return { seconds, rssMb };
      });
    },
  };
}
