import { expect, it } from 'vitest';
import { Occurrences } from './occurrences.ts';
import { switchPlanOf } from './plan.ts';
import { runPlan } from './run.ts';

const SEEDS = 40;
const occurrences = new Occurrences();

it(`a pipeline whose type is edited comes to what its last type promises, whatever breaks: seeds 1 to ${SEEDS}`, async () => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { problems } = await runPlan(switchPlanOf(seed), occurrences);
    if (problems.length > 0) wrong.push(`seed ${seed} (npm run sim -- --type switched --seed ${seed}): ${problems[0]}`);
  }
  expect(wrong).toEqual([]);
});

it('left copies unfinished, completed ones behind, and streams', () => {
  const met = occurrences.entries().map(([name]) => name);
  for (const name of [
    'transition\tpipeline snapshotting -> created',
    'transition\tpipeline completed -> created',
    'transition\tpipeline streaming -> created',
    'transition\ttable copied anew',
  ])
    expect(met).toContain(name);
});
