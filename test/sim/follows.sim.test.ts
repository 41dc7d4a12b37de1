import { expect, it } from 'vitest';
import { Occurrences } from './occurrences.ts';
import { followPlanOf } from './plan.ts';
import { runPlan } from './run.ts';

const SEEDS = 120;
const AT_ONCE = 40;

for (let from = 1; from <= SEEDS; from += AT_ONCE)
  it(`a pipeline without a copy leaves the sink's rows as they are and applies every later change: seeds ${from} to ${from + AT_ONCE - 1}`, async () => {
    const wrong: string[] = [];
    for (let seed = from; seed < from + AT_ONCE; seed++) {
      const { problems } = await runPlan(followPlanOf(seed), new Occurrences());
      if (problems.length > 0) wrong.push(`seed ${seed} (npm run sim -- --type cdc --seed ${seed}): ${problems[0]}`);
    }
    expect(wrong).toEqual([]);
  });
