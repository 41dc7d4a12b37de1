import type { PostgresServer } from '@nanosync/testkit';
import { compareAll, selfCheck } from './check-step.ts';
import { clusteredDeployment } from './clustered.ts';
import { connect } from './connect.ts';
import { type DemoContext, DemoFailure } from './demo-context.ts';
import { type DemoOptions, PIPELINE, targetRows, WRITERS } from './demo-options.ts';
import { type DemoResult, demoResult, printSummary } from './demo-result.ts';
import type { Deployment } from './deployment.ts';
import { embeddedDeployment } from './embedded.ts';
import { fillShop } from './fill-step.ts';
import { drain, watchHandoff, watchLive } from './live-step.ts';
import { watchMemory } from './memory-watch.ts';
import { PhaseClock } from './phase-clock.ts';
import { count, type Screen } from './screen.ts';
import { SHOP } from './shop.ts';
import { watchSnapshot } from './snapshot-step.ts';
import { makeWorkplace, startSource, type Workplace, writePipelinesFile } from './workplace.ts';
import { startWriters } from './writers.ts';

/** What the steps are given before there is a pipeline. */
interface Stage {
  readonly options: DemoOptions;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  readonly workplace: Workplace;
  readonly server: PostgresServer;
  readonly stack: AsyncDisposableStack;
  readonly clock: PhaseClock;
}

const TABLES = SHOP.map(({ name }) => name);

/** Runs the whole demo. Whatever happens, no process and (unless kept) no folder is left when this returns or throws. */
export async function runDemo(options: DemoOptions, screen: Screen, signal: AbortSignal): Promise<DemoResult> {
  await using stack = new AsyncDisposableStack();
  const clock = new PhaseClock();
  const workplace = makeWorkplace('shop');
  stack.defer(() => {
    if (!options.keep || signal.aborted) workplace.remove();
  });
  screen.step('Start a PostgreSQL of our own');
  const server = await startSource(workplace, options.keep);
  stack.defer(() => server.stop());
  signal.throwIfAborted();
  screen.detail(`PostgreSQL 18 on 127.0.0.1:${server.port}`);
  const stage: Stage = { options, screen, signal, workplace, server, stack, clock };
  const deployment = await orAborted(deploy(stage), signal);
  try {
    return await orAborted(steps(stage, deployment), signal);
  } finally {
    if (options.keep && !signal.aborted) tellHowToLook(stage, deployment);
  }
}

/** Makes ready what the pipeline runs on, as far as it needs something of its own, and writes its file. */
async function deploy({ options, screen, signal, workplace, server, stack, clock }: Stage): Promise<Deployment> {
  const pipeline = { name: PIPELINE, dsn: server.dsn(), tables: TABLES, targetRows: targetRows(options.rows) };
  if (options.clustered) {
    const deployment = await clusteredDeployment({ workplace, screen, signal, pipeline, resources: stack });
    clock.lap('start');
    return stack.use(deployment);
  }
  writePipelinesFile(workplace, pipeline);
  return stack.use(embeddedDeployment(workplace, screen));
}

async function steps(stage: Stage, deployment: Deployment): Promise<DemoResult> {
  const { options, screen, signal, workplace, server, stack, clock } = stage;
  screen.step(`Fill a shop: ${count(options.rows)} orders and what belongs to them`);
  await fillShop(server.dsn(), options.rows, screen);
  clock.lap('fill');

  const admin = await connect(server.dsn());
  stack.defer(() => admin.end());
  screen.step(`Copy it into ${deployment.sinkName} while ${WRITERS} connections keep inserting, updating and deleting in the same tables`);
  const writers = await startWriters(server.dsn(), WRITERS, options.rows);
  stack.defer(() => writers.stop().catch(() => undefined));
  await deployment.launch();
  const memory = stack.use(watchMemory(deployment));
  const progress = stack.use(await deployment.openProgress(signal));
  const context: DemoContext = {
    options,
    screen,
    signal,
    workplace,
    deployment,
    dsn: server.dsn(),
    admin,
    writers,
    progress,
    tables: TABLES,
  };

  const snapshot = await watchSnapshot(context);
  clock.lap('snapshot');
  screen.step('Hand over: apply what changed meanwhile on top of the copy');
  await watchHandoff(context);
  clock.lap('handoff');
  screen.step(`Live: follow the writers for ${options.seconds} s more`);
  await watchLive(context);
  clock.lap('live');
  screen.step('Stop the writers and wait until the sink has everything');
  const seconds = await drain(context);
  screen.detail(`the sink had all of it ${seconds.toFixed(1)} s later`);
  const final = await progress.read();
  if (final === undefined) throw new DemoFailure('The state store lost the pipeline.');
  await deployment.finish();
  clock.lap('drain');
  screen.step('Compare source and sink with SQL alone: every row, every column, in key order');
  const comparisons = await compareAll(context);
  clock.lap('compare');
  const found = await selfCheck(context, comparisons);
  clock.lap('self-check');
  screen.step('Summary');
  const measured = { memory: memory.peaks(), phases: clock.phases, seconds: clock.seconds() };
  const result = demoResult({ final, snapshot, comparisons, selfCheck: found, ...measured });
  printSummary(screen, result);
  return result;
}

/** Rejects as soon as the signal aborts; what was under way ends by itself when its connections are closed. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  aborted.catch(() => undefined);
  work.catch(() => undefined);
  return Promise.race([work, aborted]);
}

function tellHowToLook({ screen, workplace, server }: Stage, deployment: Deployment): void {
  const asServerUser = process.getuid?.() === 0 ? 'setpriv --reuid=65534 --regid=65534 --clear-groups ' : '';
  const flags = `-c port=${server.port} -c wal_level=logical -c max_prepared_transactions=10 -c unix_socket_directories=''`;
  screen.line(`\nThe files are in ${workplace.directory}; remove that folder when you are done. To look at them, line by line:`);
  screen.command(`(cd / && exec ${asServerUser}${server.bin}/postgres -D ${workplace.postgresDirectory}/data ${flags}) 2>/dev/null &`);
  screen.command(`npm run -s query -- ${server.dsn()} "SELECT * FROM public.orders LIMIT 5"`);
  deployment.tellHowToLook();
  screen.command('kill %1');
  screen.detail('The first starts the PostgreSQL again and the last ends it.');
}
