import type { Plan } from './plan.ts';
import type { Outcome } from './run.ts';
import { runPlan } from './run.ts';

/** A plan that still goes wrong, with as little in it as was found, and what goes wrong then. */
export interface Shrunk {
  readonly plan: Plan;
  readonly problems: readonly string[];
  readonly runs: number;
}

/**
 * Takes out of a failing plan what is not needed for its failure: faults one by one, then transactions and statements by ever smaller pieces
 * (delta debugging, Zeller and Hildebrandt, 2002). What is left may fail in another way than it did first.
 */
export async function shrink(
  plan: Plan,
  mostRuns = 400,
  run: (plan: Plan) => Promise<Pick<Outcome, 'problems'>> = runPlan,
): Promise<Shrunk> {
  let runs = 0;
  let best = plan;
  let problems: readonly string[] = [];
  const fails = async (candidate: Plan): Promise<boolean> => {
    if (runs >= mostRuns) return false;
    runs++;
    const outcome = await run(candidate);
    if (outcome.problems.length === 0) return false;
    best = candidate;
    problems = outcome.problems;
    return true;
  };
  await fails(plan);
  for (let before = -1; before !== size(best) && runs < mostRuns; ) {
    before = size(best);
    await without(best.faults, (faults) => fails({ ...best, faults }));
    await without(best.transactions, (transactions) => fails({ ...best, transactions }));
    for (const [at, transaction] of best.transactions.entries())
      await without(transaction.statements, (statements) =>
        fails({ ...best, transactions: best.transactions.map((one, index) => (index === at ? { ...one, statements } : one)) }),
      );
  }
  return { plan: best, problems, runs };
}

function size({ faults, transactions }: Plan): number {
  return faults.length + transactions.reduce((sum, { statements }) => sum + 1 + statements.length, 0);
}

/** Tries to leave out pieces of a list, half of it at first. */
async function without<T>(items: readonly T[], fails: (left: readonly T[]) => Promise<boolean>): Promise<void> {
  let left = items;
  for (let piece = Math.ceil(left.length / 2); piece >= 1; piece = piece === 1 ? 0 : Math.ceil(piece / 2))
    for (let at = 0; at < left.length; ) {
      const candidate = [...left.slice(0, at), ...left.slice(at + piece)];
      if (await fails(candidate)) left = candidate;
      else at += piece;
    }
}
