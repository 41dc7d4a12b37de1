import { expect, it } from 'vitest';
import { Occurrences } from './occurrences.ts';
import { stopPlanOf } from './plan.ts';
import { runPlan } from './run.ts';

const SEEDS = 80;
const AT_ONCE = 40;
const occurrences = new Occurrences();

for (let from = 1; from <= SEEDS; from += AT_ONCE)
  it(`copies that were stopped have the rows that were read and every change since, and lack the others: seeds ${from} to ${from + AT_ONCE - 1}`, async () => {
    const wrong: string[] = [];
    for (let seed = from; seed < from + AT_ONCE; seed++) {
      const { problems } = await runPlan(stopPlanOf(seed), occurrences);
      if (problems.length > 0) wrong.push(`seed ${seed} (npm run sim -- --type stopped --seed ${seed}): ${problems[0]}`);
    }
    expect(wrong).toEqual([]);
  });

it('stopped copies, also beside a resnapshot, and made them after all', () => {
  const met = occurrences.entries().map(([name]) => name);
  for (const name of ['transition\ttable copy stopped', 'transition\ttable copied anew', 'fault\tresnapshot', 'fault\tpipeline paused'])
    expect(met).toContain(name);
});
