import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { PostgresServer } from '@nanosync/testkit';
import { duckdbWarehouse } from '../compare/duckdb-end.ts';
import { compareAll, selfCheck } from './check-step.ts';
import { connect } from './connect.ts';
import { type DemoContext, DemoFailure } from './demo-context.ts';
import { type DemoOptions, PIPELINE, targetRows, WRITERS } from './demo-options.ts';
import { type DemoResult, demoResult, printSummary } from './demo-result.ts';
import { drain, finish, watchHandoff, watchLive } from './live-step.ts';
import { openProgress, type ProgressReader } from './progress.ts';
import { bytes, count, type Screen } from './screen.ts';
import { fillTable, SHOP, tableBytes } from './shop.ts';
import { launch, watchSnapshot } from './snapshot-step.ts';
import { makeWorkplace, startSource, type Workplace, writePipelinesFile } from './workplace.ts';
import { startWriters } from './writers.ts';

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
  try {
    return await orAborted(steps(options, screen, signal, workplace, server, stack, clock), signal);
  } finally {
    if (options.keep && !signal.aborted) tellHowToLook(screen, workplace, server);
  }
}

async function steps(
  options: DemoOptions,
  screen: Screen,
  signal: AbortSignal,
  workplace: Workplace,
  server: PostgresServer,
  stack: AsyncDisposableStack,
  clock: PhaseClock,
): Promise<DemoResult> {
  screen.step(`Fill a shop: ${count(options.rows)} orders and what belongs to them`);
  await fillShop(server.dsn(), options.rows, screen);
  clock.lap('fill');

  const admin = await connect(server.dsn());
  stack.defer(() => admin.end());
  const tables = SHOP.map(({ name }) => name);
  writePipelinesFile(workplace, { name: PIPELINE, dsn: server.dsn(), tables, targetRows: targetRows(options.rows) });
  screen.step(`Copy it into DuckDB while ${WRITERS} connections keep inserting, updating and deleting in the same tables`);
  const writers = await startWriters(server.dsn(), WRITERS, options.rows);
  stack.defer(() => writers.stop().catch(() => undefined));
  const pipeline = launch({ screen, workplace });
  const progress = await progressOnce(workplace, pipeline, signal);
  stack.use(progress);
  const warehouse = duckdbWarehouse(workplace.duckdb);
  const context: DemoContext = {
    options,
    screen,
    signal,
    workplace,
    warehouse,
    dsn: server.dsn(),
    admin,
    writers,
    progress,
    tables,
    pipeline,
  };
  stack.defer(() => context.pipeline.kill());
  const memory = watchMemory(context);
  stack.use(memory);

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
  await finish(context);
  clock.lap('drain');
  screen.step('Compare source and sink with SQL alone: every row, every column, in key order');
  const comparisons = await compareAll(context);
  clock.lap('compare');
  const found = await selfCheck(context, comparisons);
  clock.lap('self-check');
  screen.step('Summary');
  const result = demoResult({
    final,
    snapshot,
    comparisons,
    selfCheck: found,
    rssMb: memory.peakMb(),
    phases: clock.phases,
    seconds: clock.seconds(),
  });
  printSummary(screen, result);
  return result;
}

/** The wide table on one connection, the others on another: there are at least two cores. */
async function fillShop(dsn: string, rows: number, screen: Screen): Promise<void> {
  const [wide, ...others] = SHOP;
  const fill = async (tables: readonly (typeof SHOP)[number][]) => {
    const client = await connect(dsn);
    try {
      for (const table of tables) {
        const filled = await fillTable(client, table, rows);
        screen.detail(
          `${table.name.padEnd(19)}${count(filled).padStart(11)} rows  ${bytes(await tableBytes(client, table.name)).padStart(9)}`,
        );
      }
    } finally {
      await client.end();
    }
  };
  await Promise.all([fill(wide === undefined ? [] : [wide]), fill(others)]);
}

/** Opens the state store as soon as the pipeline has made it. */
async function progressOnce(workplace: Workplace, pipeline: DemoContext['pipeline'], signal: AbortSignal): Promise<ProgressReader> {
  while (!existsSync(`${workplace.dataDir}/state`)) {
    const ended = pipeline.end();
    if (ended !== null) throw new DemoFailure([ended, ...pipeline.tail(15)].join('\n'));
    await pause(20, undefined, { signal });
  }
  return openProgress(workplace.dataDir, PIPELINE);
}

/** Keeps the most memory that the pipeline's processes had, by looking now and then. */
function watchMemory(context: DemoContext): Disposable & { peakMb(): number } {
  let peak = 0;
  const look = () => {
    peak = Math.max(peak, context.pipeline.peakMb());
  };
  const timer = setInterval(look, 200);
  return { peakMb: () => peak, [Symbol.dispose]: () => clearInterval(timer) };
}

/** Rejects as soon as the signal aborts; what was under way ends by itself when its connections are closed. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  aborted.catch(() => undefined);
  work.catch(() => undefined);
  return Promise.race([work, aborted]);
}

function tellHowToLook(screen: Screen, workplace: Workplace, server: PostgresServer): void {
  const asServerUser = process.getuid?.() === 0 ? 'setpriv --reuid=65534 --regid=65534 --clear-groups ' : '';
  const flags = `-c port=${server.port} -c wal_level=logical -c max_prepared_transactions=10 -c unix_socket_directories=''`;
  screen.line(`\nThe files are in ${workplace.directory}; remove that folder when you are done. To look at them, line by line:`);
  screen.command(`npm run -s query -- ${workplace.duckdb} "SELECT * FROM public.orders LIMIT 5"`);
  screen.command(`(cd / && exec ${asServerUser}${server.bin}/postgres -D ${workplace.postgresDirectory}/data ${flags}) 2>/dev/null &`);
  screen.command(`npm run -s query -- ${server.dsn()} "SELECT * FROM public.orders LIMIT 5"`);
  screen.command(`npx nanosync start -f ${workplace.pipelinesFile} --data-dir ${workplace.dataDir}`);
  screen.command(`npx nanosync status --data-dir ${workplace.dataDir}`);
  screen.command('kill %1');
  screen.detail(
    'The second starts the PostgreSQL again and the last ends it. DuckDB lets one process have the file: not while nanosync runs.',
  );
}

/** Times of the demo's phases. */
class PhaseClock {
  readonly phases: Record<string, number> = {};
  readonly #began = performance.now();
  #at = performance.now();

  lap(phase: string): void {
    const now = performance.now();
    this.phases[phase] = Math.round(now - this.#at) / 1000;
    this.#at = now;
  }

  seconds(): number {
    return Math.round(performance.now() - this.#began) / 1000;
  }
}
