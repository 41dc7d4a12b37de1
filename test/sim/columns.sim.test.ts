import { expect, it } from 'vitest';
import { Occurrences } from './occurrences.ts';
import { columnsPlanOf } from './plan.ts';
import { runPlan } from './run.ts';

const SEEDS = 45;
const occurrences = new Occurrences();

it(`tables have the columns that the file names last, and what was kept back does not come again: seeds 1 to ${SEEDS}`, async () => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { problems } = await runPlan(columnsPlanOf(seed), occurrences);
    if (problems.length > 0) wrong.push(`seed ${seed} (npm run sim -- --type columns --seed ${seed}): ${problems[0]}`);
  }
  expect(wrong).toEqual([]);
});

it('edited columns of tables that came, were copied anew, and were live', () => {
  const met = occurrences.entries().map(([name]) => name);
  for (const name of ['fault\tcolumns edited', 'fault\ttable added', 'fault\ttables copied anew', 'transition\ttable copied anew'])
    expect(met).toContain(name);
});
