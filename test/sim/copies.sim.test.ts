import { expect, it } from 'vitest';
import { Occurrences } from './occurrences.ts';
import { copyPlanOf } from './plan.ts';
import { runPlan } from './run.ts';

const SEEDS = 120;
const AT_ONCE = 40;
const occurrences = new Occurrences();

for (let from = 1; from <= SEEDS; from += AT_ONCE)
  it(`a copy equals its source at one moment of each table, whatever moves and breaks: seeds ${from} to ${from + AT_ONCE - 1}`, async () => {
    const wrong: string[] = [];
    for (let seed = from; seed < from + AT_ONCE; seed++) {
      const { problems } = await runPlan(copyPlanOf(seed), occurrences);
      if (problems.length > 0) wrong.push(`seed ${seed} (npm run sim -- --type snapshot --seed ${seed}): ${problems[0]}`);
    }
    expect(wrong).toEqual([]);
  });

it('lost views, was completed, added tables to, and was copied anew', () => {
  const met = occurrences.entries().map(([name]) => name);
  for (const name of [
    'fault\tview lost',
    'transition\tpipeline snapshotting -> completed',
    'transition\tpipeline completed -> created',
    'transition\tpipeline completed -> snapshotting',
    'transition\ttable epoch renewed',
  ])
    expect(met).toContain(name);
});
