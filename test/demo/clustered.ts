import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openRedisState } from '@nanosync/state';
import { type Stack, startStack } from '@nanosync/testkit';
import { bigqueryWarehouse } from '../compare/bigquery-end.ts';
import { DemoFailure } from './demo-context.ts';
import { type Deployment, lastWords, storyTeller } from './deployment.ts';
import { type PipelineProcess, startNanosync } from './pipeline-process.ts';
import { progressIn } from './progress.ts';
import type { Screen } from './screen.ts';
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
const DATASET = 'shop';
const KEY_PREFIX = 'nanosync';

/** Starts the engines, and makes ready a pipeline of separate processes on them. */
export async function clusteredDeployment(parts: ClusteredParts): Promise<Deployment> {
  const { workplace, screen, signal, pipeline, resources } = parts;
  const directory = join(workplace.directory, 'stack');
  screen.step('Start Kafka, a schema registry, Redis and a BigQuery emulator of our own');
  const engines = await startStack({ directory, services: ENGINES, log: (line) => screen.detail(line) });
  resources.use(engines);
  signal.throwIfAborted();
  screen.detail(`Kafka ${engines.kafka.address.brokers.join(', ')}, registry ${engines.registry.address.url}`);
  screen.detail(`Redis ${engines.redis.address.url}, BigQuery ${engines.bigquery.address.url}; their logs are in ${directory}`);
  const bigquery = { ...engines.bigquery.address, dataset: DATASET };
  await makeDataset(bigquery);
  const config = writeServerFile(workplace, engines);
  const { url, project, dataset } = bigquery;
  writePipelinesFile(workplace, { ...pipeline, sink: { type: 'bigquery', properties: { project, dataset, endpoint: url } } });
  const fleet = new Fleet({ workplace, screen, config });
  const service = async (name: string) => fleet.start(name, ['service', PROCESSES.find(([known]) => known === name)?.[1] ?? '']);
  return {
    warehouse: bigqueryWarehouse({ ...bigquery, nameOf: (table) => table.replace('.', '_') }, signal),
    sinkName: 'BigQuery',
    victim: VICTIM,
    launch: async () => {
      await fleet.toEnd('apply', ['apply', '-f', workplace.pipelinesFile]);
      for (const [name] of PROCESSES) await service(name);
      screen.detail(`started ${fleet.running.map(({ name, process }) => `${name} (process ${process.pid})`).join(', ')}`);
    },
    openProgress: async () => progressIn(await openRedisState({ url: engines.redis.address.url, keyPrefix: KEY_PREFIX }), pipeline.name),
    killVictim: () => fleet.kill(VICTIM),
    restartVictim: () => service(VICTIM),
    broken: () => fleet.broken() ?? brokenEngine(engines),
    tail: () => fleet.tail(),
    memory: () => fleet.running.map(({ name, process }) => ({ name, mb: process.peakMb() })),
    finish: () => fleet.finish(),
    tellHowToLook: () =>
      screen.detail(`(the engines are stopped; their data and logs are in ${directory}, the logs of nanosync beside it)`),
    [Symbol.asyncDispose]: () => fleet.killAll(),
  };
}

/** As a user does it in the console. */
async function makeDataset({ url, project, dataset }: { readonly url: string; readonly project: string; readonly dataset: string }) {
  const body = JSON.stringify({ datasetReference: { projectId: project, datasetId: dataset } });
  const reply = await fetch(`${url}/bigquery/v2/projects/${project}/datasets`, { method: 'POST', body });
  if (!reply.ok) throw new DemoFailure(`The BigQuery emulator made no dataset: ${reply.status} ${await reply.text()}`);
}

/** The server file, as a user would write it. */
function writeServerFile(workplace: Workplace, { kafka, registry, redis }: Engines): string {
  const file = join(workplace.directory, 'server.yaml');
  const text = `bus:
  kafka:
    brokers: [${kafka.address.brokers.map((broker) => JSON.stringify(broker)).join(', ')}]
    replication_factor: 1
  registry:
    url: ${registry.address.url}
state:
  redis:
    url: ${redis.address.url}
    key_prefix: ${KEY_PREFIX}
`;
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

function brokenEngine(engines: Engines): string | null {
  const dead = ENGINES.map((name) => engines[name]).find(({ pid }) => pid === undefined);
  if (dead === undefined) return null;
  const lines = readFileSync(dead.logFile, 'utf8').trimEnd().split('\n').slice(-15);
  return [`${dead.name} ended by itself.`, `The last lines of ${dead.logFile}:`, ...lines].join('\n');
}

/** The running processes of a cluster. */
class Fleet {
  readonly #parts: Pick<ClusteredParts, 'workplace' | 'screen'> & { readonly config: string };
  readonly #running = new Map<string, PipelineProcess>();

  constructor(parts: Pick<ClusteredParts, 'workplace' | 'screen'> & { readonly config: string }) {
    this.#parts = parts;
    mkdirSync(this.#logs, { recursive: true });
  }

  get running(): readonly { readonly name: string; readonly process: PipelineProcess }[] {
    return [...this.#running].map(([name, process]) => ({ name, process }));
  }

  start(name: string, args: readonly string[]): void {
    this.#running.set(name, this.#spawn(name, [...args, '--log-format', 'human'], storyTeller(this.#parts.screen, `${name}  `)));
  }

  /** Runs a command that ends by itself; throws its last lines when it does not end well. */
  async toEnd(name: string, args: readonly string[]): Promise<void> {
    const process = this.#spawn(name, args, (line) => this.#parts.screen.detail(`│ ${line}`));
    const end = await process.ended;
    if (!end.endsWith('status 0.')) throw new DemoFailure([end, ...process.tail(15)].join('\n'));
  }

  async kill(name: string): Promise<void> {
    await this.#running.get(name)?.kill();
  }

  async killAll(): Promise<void> {
    await Promise.all(this.running.map(({ process }) => process.kill()));
  }

  broken(): string | null {
    return this.running.map(({ process }) => lastWords(process)).find((words) => words !== null) ?? null;
  }

  tail(): readonly string[] {
    return this.running.flatMap(({ name, process }) => [`${name}:`, ...process.tail(4).map((line) => `  ${line}`)]);
  }

  /** Ctrl-C for all. */
  async finish(): Promise<void> {
    const ends = this.running.map(async ({ name, process }) => ({ name, process, status: await process.interrupt() }));
    const bad = (await Promise.all(ends)).find(({ status }) => status !== 0);
    if (bad !== undefined)
      throw new DemoFailure([`${bad.name} ended with status ${bad.status} after Ctrl-C.`, ...bad.process.tail(15)].join('\n'));
  }

  get #logs(): string {
    return join(this.#parts.workplace.directory, 'logs');
  }

  #spawn(name: string, args: readonly string[], onLine: (line: string) => void): PipelineProcess {
    const { workplace, config } = this.#parts;
    const logFile = join(this.#logs, `${name.replace(' ', '-')}.log`);
    return startNanosync({ name, args: [...args, '--config', config], directory: workplace.directory, logFile, onLine });
  }
}
