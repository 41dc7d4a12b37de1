import { expect, it } from 'vitest';
import type { Fault } from './faults.ts';
import { Occurrences } from './occurrences.ts';
import type { Plan, TransactionPlan } from './plan.ts';
import { planOf } from './plan.ts';
import { runPlan } from './run.ts';

/** When the tables are long live. */
const AT_MS = 20_000;
const ORPHAN: TransactionPlan = {
  atMs: AT_MS,
  thinkMs: 1,
  statements: [{ kind: 'orphan', table: 0, key: 1, other: 2 }],
  ending: 'rollback',
  hiddenMs: 0,
};

function planWith(seed: number, faults: readonly Fault[]): Plan {
  const plan = planOf(seed);
  return { ...plan, faults, transactions: [...plan.transactions, ORPHAN], isSinkSlow: false, twice: [] };
}

it('publishes what it quarantined although the bus was away just then', async () => {
  const occurrences = new Occurrences();
  for (const kind of ['call refused', 'reply lost'] as const)
    for (const port of ['bus', 'registry'] as const)
      for (let after = 0; after < 12; after++) {
        const faults: Fault[] = [{ kind, port, service: 'writer', atMs: AT_MS + after }];
        const { problems } = await runPlan(planWith(after + 1, faults), occurrences);
        expect({ kind, port, after, problems }).toEqual({ kind, port, after, problems: [] });
      }
  expect(occurrences.entries().map(([name]) => name)).toContain('fault\tbus call refused');
});
