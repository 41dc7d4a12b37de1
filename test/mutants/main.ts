import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { CATALOG } from './catalog.ts';
import type { Verdict } from './judge.ts';
import { failingUnmutated, judge } from './judge.ts';
import type { Mutant } from './mutant.ts';
import { isSimulated } from './mutant.ts';
import { copyWorkspace } from './workspace-copy.ts';

const HELP = `npm run mutants -- [--only NAME]... [--jobs N]

Breaks one invariant at a time in a copy of the workspace, and demands that the test named for it fails.
Exits with 1 when a mutant survives, is stale, or its test says nothing.

  --only NAME   just this mutant, or every one of this invariant; may be given several times
  --jobs N      copies that are worked in side by side (default: as many as processors, at most 2)
  --list        what there is
  --help        this text`;

const ROOT = dirname(dirname(import.meta.dirname));
const MARK = { caught: 'caught', survived: 'SURVIVED', stale: 'STALE', unclear: 'UNCLEAR' } as const;

process.exitCode = await main();

async function main(): Promise<number> {
  const values = argumentsOf(process.argv.slice(2));
  if (typeof values === 'string') return say(`${values}\nSee: npm run mutants -- --help`, 2);
  const chosen = CATALOG.filter(
    ({ name, invariant }) => values.only.length === 0 || values.only.some((one) => one === name || one === invariant),
  );
  const unknown = values.only.filter((one) => !CATALOG.some(({ name, invariant }) => one === name || one === invariant));
  const jobs = Number(values.jobs);
  if (values.help) return say(HELP);
  if (unknown.length > 0) return say(`There is no mutant or invariant ${unknown.join(', ')}. Run: npm run mutants -- --list`, 2);
  if (!Number.isInteger(jobs) || jobs < 1) return say('--jobs takes a number from 1 on.', 2);
  if (values.list) return say(table(chosen.map((mutant) => [mutant.name, mutant.invariant, mutant.does])));
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ending.abort());
  try {
    return await run(chosen, Math.min(jobs, chosen.length), ending.signal);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    return 130;
  }
}

/** The arguments; a sentence when they cannot be read. */
function argumentsOf(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        only: { type: 'string', multiple: true, default: [] },
        jobs: { type: 'string', default: String(Math.min(2, availableParallelism())) },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function run(mutants: readonly Mutant[], jobs: number, signal: AbortSignal): Promise<number> {
  const started = performance.now();
  using copies = new DisposableStack();
  const lanes = Array.from({ length: jobs }, () => copies.use(copyWorkspace(ROOT)));
  const [first] = lanes;
  if (first === undefined) return 0;
  const failing = await failingUnmutated(first, mutants, signal);
  if (failing.length > 0) return say(`Without a mutant these must pass, and do not:\n${failing.join('\n')}`, 1);
  say(`Without a mutant all tests named for ${mutants.length} pass (${seconds(started)} s).`);
  const waiting = [...mutants.keys()];
  const verdicts = new Map<number, Verdict>();
  await Promise.all(
    lanes.map(async (copy) => {
      for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
        const mutant = mutants[at] as Mutant;
        const verdict = await judge(copy, mutant, signal);
        verdicts.set(at, verdict);
        say(line(mutant, verdict));
        if (verdict.kind !== 'caught' || mutants.length === 1) say(`  ${mutant.does}\n  ${verdict.why}`);
      }
    }),
  );
  say('');
  say(table([...mutants.entries()].map(([at, mutant]) => columns(mutant, verdicts.get(at) as Verdict))));
  const caught = [...verdicts.values()].filter(({ kind }) => kind === 'caught').length;
  return say(`${caught} of ${mutants.length} mutants are caught (${seconds(started)} s).`, caught === mutants.length ? 0 : 1);
}

function columns(mutant: Mutant, { kind, seconds: took }: Verdict): readonly string[] {
  const test = isSimulated(mutant.test) ? `simulation, ${mutant.test.seeds} seeds` : `${mutant.test.file}: ${mutant.test.title}`;
  return [mutant.name, mutant.invariant, MARK[kind], took.toFixed(1), test];
}

function line(mutant: Mutant, verdict: Verdict): string {
  return `${MARK[verdict.kind].padEnd(8)} ${verdict.seconds.toFixed(1).padStart(5)} s  ${mutant.name} (${mutant.invariant})`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>((most, row) => row.map((cell, at) => Math.max(most[at] ?? 0, cell.length)), []);
  return rows.map((row) => row.map((cell, at) => cell.padEnd(at === row.length - 1 ? 0 : (widths[at] as number))).join('  ')).join('\n');
}

function seconds(started: number): string {
  return ((performance.now() - started) / 1000).toFixed(0);
}

function say(text: string, code = 0): number {
  console.log(text);
  return code;
}
