import { expect, it } from 'vitest';
import { Occurrences } from './occurrences.ts';
import { queryPlanOf } from './plan.ts';
import { runPlan } from './run.ts';

const SEEDS = 60;
const occurrences = new Occurrences();

it(`users see whole results of a query, one after the other, whatever breaks: seeds 1 to ${SEEDS}`, async () => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { problems } = await runPlan(queryPlanOf(seed), occurrences);
    if (problems.length > 0) wrong.push(`seed ${seed} (npm run sim -- --type query --seed ${seed}): ${problems[0]}`);
  }
  expect(wrong).toEqual([]);
});

it('asked for runs, wrote late, and was deleted', () => {
  const met = occurrences.entries().map(([name]) => name);
  for (const name of ['fault\tquery run asked', 'fault\tresnapshot', 'fault\tzombie statement', 'transition\tpipeline deleted'])
    expect(met).toContain(name);
});
