import { expect, it } from 'vitest';
import type { Plan } from './plan.ts';
import { planOf } from './plan.ts';
import { shrink } from './shrink.ts';

/** Goes wrong where a row is deleted while somebody is paused. */
async function run({ faults, transactions }: Plan): Promise<{ problems: string[] }> {
  const isWrong =
    faults.some(({ kind }) => kind === 'paused') && transactions.some((one) => one.statements.some(({ kind }) => kind === 'delete'));
  return { problems: isWrong ? ['lost'] : [] };
}

it('leaves of a failing plan what its failure needs', async () => {
  const plan = planOf(7);
  const paused = { kind: 'paused', service: 'writer', forMs: 5000, isReplaced: true, atMs: 100 } as const;
  const {
    plan: left,
    problems,
    runs,
  } = await shrink({ ...plan, faults: [...plan.faults.filter(({ kind }) => kind !== 'paused'), paused] }, 400, run);
  expect(left.faults).toEqual([paused]);
  expect(left.transactions.map((one) => one.statements.map(({ kind }) => kind))).toEqual([['delete']]);
  expect(problems).toEqual(['lost']);
  expect(runs).toBeLessThan(150);
});
