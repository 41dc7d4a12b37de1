import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openRedisState } from '@nanosync/state/redis';
import { freePort, type Stack, startStack } from '@nanosync/testkit';
import { bigqueryWarehouse } from '../compare/bigquery-end.ts';
import { DemoFailure } from './demo-context.ts';
import { type Deployment, storyTeller } from './deployment.ts';
import { Fleet } from './fleet.ts';
import { progressIn } from './progress.ts';
import type { Screen } from './screen.ts';
import { writeServerFile } from './server-file.ts';
import { type Workplace, writePipelinesFile } from './workplace.ts';

/** What a clustered pipeline is made of. */
export interface ClusteredParts {
  readonly workplace: Workplace;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  readonly pipeline: Parameters<typeof writePipelinesFile>[1];
  /** What was started is stopped with them. */
  readonly resources: AsyncDisposableStack;
}

const ENGINES = ['kafka', 'registry', 'redis', 'bigquery'] as const;
type Engines = Stack<(typeof ENGINES)[number]>;

/** The processes of the demo's cluster, by the names that sentences call them. */
const PROCESSES: readonly (readonly [name: string, service: string])[] = [
  ['planner', 'planner'],
  ['snapshot-worker 1', 'snapshot-worker'],
  ['snapshot-worker 2', 'snapshot-worker'],
  ['cdc-capture', 'cdc-capture'],
  ['sink-writer 1', 'sink-writer'],
  ['sink-writer 2', 'sink-writer'],
];
const VICTIM = 'snapshot-worker 1';
/** How long the kill waits for its victim to begin with a partition. */
const NEXT_READ_MS = 5000;
const DATASET = 'shop';
const KEY_PREFIX = 'nanosync';

/** Starts the engines, and makes ready a pipeline of separate processes on them. */
export async function clusteredDeployment(parts: ClusteredParts): Promise<Deployment> {
  const { workplace, screen, signal, pipeline, resources } = parts;
  const directory = join(workplace.directory, 'stack');
  screen.step('Start Kafka, a schema registry, Redis and a BigQuery emulator of our own');
  const starting = startStack({ directory, services: ENGINES, log: (line) => screen.detail(line) });
  // Also what is still starting when the demo is interrupted.
  resources.defer(async () => (await starting.catch(() => undefined))?.stop());
  const engines = await starting.catch((error: Error) => {
    throw new DemoFailure(error.message, { cause: error });
  });
  signal.throwIfAborted();
  screen.detail(`Kafka ${engines.kafka.address.brokers.join(', ')}, registry ${engines.registry.address.url}`);
  screen.detail(`Redis ${engines.redis.address.url}, BigQuery ${engines.bigquery.address.url}; their logs are in ${directory}`);
  const bigquery = { ...engines.bigquery.address, dataset: DATASET };
  await makeDataset(bigquery);
  const config = writeServerFile(join(workplace.directory, 'server.yaml'), engines, KEY_PREFIX, await freePort());
  const { url, project, dataset } = bigquery;
  writePipelinesFile(workplace, { ...pipeline, sink: { type: 'bigquery', properties: { project, dataset, endpoint: url } } });
  const fleet = new Fleet({ directory: workplace.directory, config, format: 'human' });
  const reads = new EventEmitter();
  const answers = once(reads, 'listens', { signal: AbortSignal.any([signal, AbortSignal.timeout(120_000)]) });
  answers.catch(() => undefined); // Awaited where the processes run.
  const service = async (name: string) => {
    const tell = storyTeller(screen, `${name.padEnd(17)} `);
    fleet.start(name, PROCESSES.find(([known]) => known === name)?.[1] ?? '', (line) => {
      tell(line);
      if (line.startsWith('INF snapshotting')) reads.emit(name);
      if (line.startsWith('INF api listens')) reads.emit('listens');
    });
  };
  return {
    warehouse: bigqueryWarehouse({ ...bigquery, nameOf: (table) => table.replace('.', '_') }, signal),
    sinkName: 'BigQuery',
    victim: VICTIM,
    launch: async () => {
      for (const [name] of PROCESSES) await service(name);
      await answers;
      await fleet.toEnd(['apply', '-f', workplace.pipelinesFile], (line) => screen.detail(`│ ${line}`));
      screen.detail(`started ${fleet.running.map(({ name, process }) => `${name} (process ${process.pid})`).join(', ')}`);
    },
    openProgress: async () => progressIn(await openRedisState({ url: engines.redis.address.url, keyPrefix: KEY_PREFIX }), pipeline.name),
    killVictim: async () => {
      // In the middle of a partition, unless it gets no more.
      await once(reads, VICTIM, { signal: AbortSignal.any([signal, AbortSignal.timeout(NEXT_READ_MS)]) }).catch(() => undefined);
      await fleet.kill(VICTIM);
    },
    restartVictim: () => service(VICTIM),
    broken: () => fleet.broken() ?? brokenEngine(engines),
    tail: () => fleet.tail(),
    memory: () => fleet.running.map(({ name, process }) => ({ name, mb: process.peakMb() })),
    finish: () => fleet.finish(),
    tellHowToLook: () =>
      screen.detail(`(the engines are stopped; their data and logs are in ${directory}, the logs of nanosync beside it)`),
    [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose](),
  };
}

/** As a user does it in the console. */
async function makeDataset({ url, project, dataset }: { readonly url: string; readonly project: string; readonly dataset: string }) {
  const body = JSON.stringify({ datasetReference: { projectId: project, datasetId: dataset } });
  const reply = await fetch(`${url}/bigquery/v2/projects/${project}/datasets`, { method: 'POST', body });
  if (!reply.ok) throw new DemoFailure(`The BigQuery emulator made no dataset: ${reply.status} ${await reply.text()}`);
}

function brokenEngine(engines: Engines): string | null {
  const dead = ENGINES.map((name) => engines[name]).find(({ pid }) => pid === undefined);
  if (dead === undefined) return null;
  const lines = readFileSync(dead.logFile, 'utf8').trimEnd().split('\n').slice(-15);
  return [`${dead.name} ended by itself.`, `The last lines of ${dead.logFile}:`, ...lines].join('\n');
}
