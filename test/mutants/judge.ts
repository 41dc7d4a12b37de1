import type { Mutant, NamedTest } from './mutant.ts';
import { isSimulated, mutated } from './mutant.ts';
import { outcomeOf } from './report.ts';
import type { Ended } from './run-tests.ts';
import { runNode, runTests } from './run-tests.ts';
import type { WorkspaceCopy } from './workspace-copy.ts';

/**
 * What became of a mutant. `survived`: its test passes, so nothing notices the fault. `stale`: its text is no longer in the code.
 * `unclear`: its test did not run, or ended in a way that says nothing.
 */
export interface Verdict {
  readonly kind: 'caught' | 'survived' | 'stale' | 'unclear';
  readonly why: string;
  readonly seconds: number;
}

/** The tests of these mutants that do not pass on the code as it is, each with the reason. */
export async function failingUnmutated(copy: WorkspaceCopy, mutants: readonly Mutant[], signal: AbortSignal): Promise<readonly string[]> {
  const tests = mutants.map(({ test }) => test);
  const named = tests.filter((test): test is NamedTest => !isSimulated(test));
  const failing: string[] = [];
  if (named.length > 0) {
    const report = await runTests(copy.root, named, signal);
    for (const test of named) {
      const { kind, why } = outcomeOf(report, test);
      if (kind !== 'passed') failing.push(`${test.file}: ${test.title}: ${why}`);
    }
  }
  const seeds = Math.max(0, ...tests.map((test) => (isSimulated(test) ? test.seeds : 0)));
  if (seeds > 0) {
    const { code, said } = await simulate(copy, seeds, signal);
    if (code !== 0) failing.push(`the simulation of ${seeds} seeds: ${lastLine(said)}`);
  }
  return [...new Set(failing)];
}

/** Puts a mutant into the copy, runs its test, and takes it out again. */
export async function judge(copy: WorkspaceCopy, mutant: Mutant, signal: AbortSignal): Promise<Verdict> {
  const started = performance.now();
  const verdict = (kind: Verdict['kind'], why: string) => ({ kind, why, seconds: (performance.now() - started) / 1000 });
  const text = mutated(copy.read(mutant.file), mutant);
  if (text === undefined) return verdict('stale', `${mutant.file} does not hold the text to find exactly once`);
  using _ = copy.write(mutant.file, text);
  const { test } = mutant;
  if (isSimulated(test)) {
    const { code, said } = await simulate(copy, test.seeds, signal, WRONG_SEED);
    const wrong = WRONG_SEED.exec(said)?.[0];
    if (wrong !== undefined) return verdict('caught', wrong.slice(0, 200));
    // What ends in another way, before it could say which seed it was, is no finding.
    return verdict(code === 0 ? 'survived' : 'unclear', lastLine(said));
  }
  const { kind, why } = outcomeOf(await runTests(copy.root, [test], signal), test);
  return verdict(kind === 'failed' ? 'caught' : kind === 'passed' ? 'survived' : 'unclear', why);
}

/** The line by which the simulation says that a seed went wrong; it then exits with 1, and there is no need to wait for that. */
const WRONG_SEED = /^seed \d+ is WRONG: .+$/m;

async function simulate(copy: WorkspaceCopy, seeds: number, signal: AbortSignal, enough?: RegExp): Promise<Ended> {
  return runNode(copy.root, ['test/sim/main.ts', '--seeds', String(seeds), '--no-shrink'], signal, enough);
}

function lastLine(said: string): string {
  return said.trim().split('\n').at(-1)?.slice(0, 200) ?? '';
}
