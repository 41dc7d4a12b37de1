import { expectedOccurrences } from './expected.ts';
import type { Occurrences } from './occurrences.ts';
import type { Options } from './options.ts';
import { readOptions, WHOLE_RUN } from './options.ts';
import type { Plan } from './plan.ts';
import { planOf } from './plan.ts';
import { runPlan } from './run.ts';
import { shrink } from './shrink.ts';

const HELP = `Runs the whole system in one process on virtual time, under a workload and faults that one number decides.

  npm run sim                          300 seeds, then how often everything occurred
  npm run sim -- --seeds 10000         as many; --from N begins at seed N
  npm run sim -- --seed 42             one seed, with a trace of what happened
  npm run sim -- --plan '{...}'        a plan that a failing seed was shrunk to; @file reads it from a file

  --type cdc    with seeds: a pipeline of this type, or of snapshot; query; switched, columns, stopped: edited meanwhile
  --no-shrink   leaves a failing seed as it is        --json   prints results as JSON lines

Exit code: 0 all went right, 1 something did not, 2 wrong use. The same seed on the same code always does the same.
`;

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (typeof options === 'string') {
    process.stderr.write(`${options}\nSee: npm run sim -- --help\n`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (options.plan !== undefined) return replay(options.plan);
  if (options.seed !== undefined) return replay(options.planOf(options.seed));
  return many(options);
}

/** One plan, told as it went. */
async function replay(plan: Plan): Promise<number> {
  const outcome = await runPlan(plan, expectedOccurrences(), true);
  process.stdout.write(`${outcome.trace.join('\n')}\n`);
  for (const failure of outcome.failures) process.stdout.write(`failed, and was repaired: ${failure}\n`);
  for (const problem of outcome.problems) process.stdout.write(`PROBLEM: ${problem}\n`);
  process.stdout.write(`seed ${plan.seed}: ${outcome.problems.length === 0 ? 'right' : 'WRONG'} after ${outcome.ms} virtual ms\n`);
  return outcome.problems.length === 0 ? 0 : 1;
}

async function many({ seeds, from, planOf: planned, isShrunk, isJson }: Options): Promise<number> {
  const occurrences = expectedOccurrences(seeds);
  const startedMs = performance.now();
  const wrong: number[] = [];
  let [failures, virtualMs] = [0, 0];
  for (let seed = from; seed < from + seeds; seed++) {
    const outcome = await runPlan(planned(seed), occurrences);
    failures += outcome.failures.length;
    virtualMs += outcome.ms;
    if (outcome.problems.length > 0) {
      wrong.push(seed);
      process.stdout.write(`seed ${seed} is WRONG: ${outcome.problems[0]}\n`);
      if (isShrunk && wrong.length === 1) await tellShrunk(seed);
    }
    const done = seed - from + 1;
    if (!isJson && process.stdout.isTTY === true && done % 20 === 0)
      process.stdout.write(`\r${done}/${seeds} seeds, ${wrong.length} wrong `);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const never = seeds >= WHOLE_RUN && planned === planOf ? occurrences.never() : [];
  if (isJson)
    process.stdout.write(`${JSON.stringify({ seeds, from, wrong, failures, seconds, never, occurrences: occurrences.entries() })}\n`);
  else tell({ occurrences, never, isWhole: seeds >= WHOLE_RUN });
  (isJson ? process.stderr : process.stdout).write(
    `${seeds} seeds from ${from}: ${wrong.length} wrong; ${failures} pipelines failed as they had to and were repaired; ` +
      `${Math.round(virtualMs / 60_000)} virtual minutes in ${seconds.toFixed(1)} s, ${Math.round((seeds / seconds) * 60)} seeds a minute\n`,
  );
  for (const seed of wrong) process.stderr.write(`again: npm run sim -- --seed ${seed}\n`);
  return wrong.length === 0 && never.length === 0 ? 0 : 1;
}

interface Seen {
  readonly occurrences: Occurrences;
  readonly never: readonly string[];
  readonly isWhole: boolean;
}

function tell({ occurrences, never, isWhole }: Seen): void {
  const few = isWhole ? '' : ` (so few seeds cannot meet everything; ${WHOLE_RUN} do)`;
  process.stdout.write(`\nHow often each thing occurred${few}\n\n${occurrences.text()}\n\n`);
  for (const name of never) process.stdout.write(`NEVER: ${name}\n`);
}

async function tellShrunk(seed: number): Promise<void> {
  const { plan, problems, runs } = await shrink(planOf(seed));
  const statements = plan.transactions.reduce((sum, transaction) => sum + transaction.statements.length, 0);
  process.stdout.write(
    `shrunk in ${runs} runs to ${plan.faults.length} faults and ${plan.transactions.length} transactions of ${statements} statements: ${problems[0]}\n` +
      `npm run sim -- --plan '${JSON.stringify(plan)}'\n`,
  );
}

process.exitCode = await main();
