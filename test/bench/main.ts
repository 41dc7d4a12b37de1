import { fileURLToPath } from 'node:url';
import { connect } from '../demo/connect.ts';
import { type FlagValues, helpText, readFlags, UsageError } from '../demo/flags.ts';
import { count } from '../demo/screen.ts';
import { makeWorkplace, startSource } from '../demo/workplace.ts';
import { baselines } from './baselines.ts';
import type { BenchContext } from './bench-context.ts';
import { makeBenchTable } from './bench-table.ts';
import { prepareChanges } from './changes.ts';
import { run } from './child.ts';
import { measureEndToEnd } from './end-to-end.ts';

const FLAGS = {
  rows: { kind: 'number', initial: 2_000_000, least: 1_000, most: 100_000_000, help: 'rows of the copied table (2000000)' },
  changes: { kind: 'number', initial: 500_000, least: 1_000, most: 10_000_000, help: 'changes in the slot (500000)' },
  runs: { kind: 'number', initial: 5, least: 1, most: 100, help: 'how often everything is measured (5)' },
  json: { kind: 'switch', help: 'end with one line of JSON' },
  help: { kind: 'switch', help: 'show this' },
} as const;

const USAGE = 'npm run bench -- [flags]: measures nanosync against what PostgreSQL itself can do, in the same runs.';
const TABLE = 'public.bench';
const ENCODE = fileURLToPath(new URL('./encode-child.ts', import.meta.url));

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let flags: FlagValues<typeof FLAGS>;
  try {
    flags = readFlags(FLAGS, args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    return 2;
  }
  if (flags.help) {
    console.log(helpText(USAGE, FLAGS));
    return 0;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop.abort(name));
  try {
    const result = await bench(flags, stop.signal);
    if (flags.json) console.log(JSON.stringify(result));
    return 0;
  } catch (error) {
    console.error(stop.signal.aborted ? 'Stopped; nothing is left behind.' : error);
    return stop.signal.aborted ? 130 : 1;
  }
}

async function bench(flags: FlagValues<typeof FLAGS>, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
  await using stack = new AsyncDisposableStack();
  const workplace = makeWorkplace('bench');
  stack.defer(() => workplace.remove());
  const server = await startSource(workplace, false);
  stack.defer(() => server.stop());
  const admin = await connect(server.dsn(), 'bench');
  stack.defer(() => admin.end());
  const context: BenchContext = {
    dsn: server.dsn(),
    admin,
    workplace,
    baselines: baselines(signal),
    rows: flags.rows,
    signal,
    say: (text) => console.log(text),
  };
  context.say(`filling ${count(flags.rows)} rows ...`);
  await makeBenchTable(admin, TABLE, flags.rows);
  context.say(`measured against ${context.baselines.copyWith} and ${context.baselines.streamWith}`);
  const series = await measureAll(context, flags);
  return report(context, flags, series);
}

/** One number of each run, by name. */
type Series = Map<string, number[]>;

async function measureAll(context: BenchContext, flags: FlagValues<typeof FLAGS>): Promise<Series> {
  const series: Series = new Map();
  const note = (name: string, value: number) => series.set(name, [...(series.get(name) ?? []), value]);
  const changes = await prepareChanges(context);
  for (let index = 1; index <= flags.runs; index++) {
    const copy = await context.baselines.copy(context.dsn, TABLE);
    const encode = JSON.parse(
      (await run(process.execPath, [ENCODE, context.dsn, TABLE], { signal: context.signal, collect: true })).output,
    ) as {
      seconds: number;
      rows: number;
    };
    if (encode.rows !== flags.rows) throw new Error(`${encode.rows} rows were encoded of ${flags.rows}`);
    const whole = await measureEndToEnd(context, TABLE, index);
    const stream = await changes.run(flags.changes);
    note('copy_rows_per_s', flags.rows / copy);
    note('encode_rows_per_s', flags.rows / encode.seconds);
    note('end_to_end_rows_per_s', flags.rows / whole.seconds);
    note('recvlogical_changes_per_s', flags.changes / stream.baseline);
    note('changes_per_s', flags.changes / stream.seconds);
    note('end_to_end_vs_copy', copy / whole.seconds);
    note('encode_vs_copy', copy / encode.seconds);
    note('changes_vs_recvlogical', stream.baseline / stream.seconds);
    note('rss_mb', Math.max(whole.rssMb, stream.rssMb));
    context.say(
      `run ${index}: COPY ${copy.toFixed(1)} s, read and encode ${encode.seconds.toFixed(1)} s, end to end ${whole.seconds.toFixed(1)} s; ` +
        `bare slot ${stream.baseline.toFixed(1)} s, capture ${stream.seconds.toFixed(1)} s; ${Math.max(whole.rssMb, stream.rssMb)} MB`,
    );
  }
  return series;
}

/** What is aimed at; a ratio below is said, not hidden. */
const WANTED: Readonly<Record<string, number>> = { end_to_end_vs_copy: 0.1, encode_vs_copy: 0.4, changes_vs_recvlogical: 0.25 };

function report(context: BenchContext, flags: FlagValues<typeof FLAGS>, series: Series): Readonly<Record<string, unknown>> {
  const result: Record<string, unknown> = { rows: flags.rows, changes: flags.changes, runs: flags.runs };
  context.say(`\n${''.padEnd(28)}${'best'.padStart(12)}${'median'.padStart(12)}${'count'.padStart(7)}`);
  for (const [name, values] of series) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0)) / 2;
    const best = (name === 'rss_mb' ? sorted[0] : sorted.at(-1)) ?? 0;
    // Memory is judged by its worst run.
    result[name] = name === 'rss_mb' ? sorted.at(-1) : Number(middle.toFixed(3));
    result[`${name}_best`] = Number(best.toFixed(3));
    const shown = (value: number) => (value < 100 ? value.toFixed(3) : count(value)).padStart(12);
    const wanted = WANTED[name];
    const verdict = wanted === undefined ? '' : middle >= wanted ? `  (at least ${wanted})` : `  BELOW ${wanted}`;
    context.say(`${name.padEnd(28)}${shown(best)}${shown(middle)}${String(values.length).padStart(7)}${verdict}`);
  }
  result.copy_with = context.baselines.copyWith;
  result.stream_with = context.baselines.streamWith;
  return result;
}
