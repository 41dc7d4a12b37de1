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
import { measureClustered } from './clustered.ts';
import { measureEndToEnd } from './end-to-end.ts';
import { report, type Series } from './report.ts';

const FLAGS = {
  rows: { kind: 'number', initial: 2_000_000, least: 1_000, most: 100_000_000, help: 'rows of the copied table (2000000)' },
  changes: { kind: 'number', initial: 500_000, least: 1_000, most: 10_000_000, help: 'changes in the slot (500000)' },
  runs: { kind: 'number', initial: 5, least: 1, most: 100, help: 'how often everything is measured (5)' },
  clustered: { kind: 'switch', help: 'measure the services as processes, up to Kafka' },
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
  const series = await (flags.clustered ? measureClustered(context, flags) : measureAll(context, flags));
  const about = {
    rows: flags.rows,
    changes: flags.changes,
    runs: flags.runs,
    copy_with: context.baselines.copyWith,
    stream_with: context.baselines.streamWith,
  };
  return { ...about, ...report(series, context.say) };
}

async function measureAll(context: BenchContext, flags: FlagValues<typeof FLAGS>): Promise<Series> {
  const series = new Map<string, number[]>();
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
