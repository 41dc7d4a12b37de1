import { expect, it } from 'vitest';
import { Occurrences } from './occurrences.ts';
import { followPlanOf } from './plan.ts';
import { runPlan } from './run.ts';

const SEEDS = 120;
const AT_ONCE = 40;
const occurrences = new Occurrences();

for (let from = 1; from <= SEEDS; from += AT_ONCE)
  it(`a pipeline without a copy leaves the sink's rows as they are and applies every later change: seeds ${from} to ${from + AT_ONCE - 1}`, async () => {
    const wrong: string[] = [];
    for (let seed = from; seed < from + AT_ONCE; seed++) {
      const { problems } = await runPlan(followPlanOf(seed), occurrences);
      if (problems.length > 0) wrong.push(`seed ${seed} (npm run sim -- --type cdc --seed ${seed}): ${problems[0]}`);
    }
    expect(wrong).toEqual([]);
  });

it('was deleted, lost its warehouse, and was copied to repair it', () => {
  const met = occurrences.entries().map(([name]) => name);
  for (const name of [
    'transition\tpipeline deleted',
    'fault\twarehouse lost',
    'fault\tresnapshot',
    'crash\twriter sink.adopt before',
    'crash\twriter sink.adopt after',
  ])
    expect(met).toContain(name);
});
