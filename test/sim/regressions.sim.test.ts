import { expect, it } from 'vitest';
import { REGRESSIONS } from './regressions.ts';
import { runPlan } from './run.ts';

for (const { what, plan } of REGRESSIONS)
  it(`is right where it was wrong once: ${what}`, async () => {
    expect((await runPlan(plan)).problems).toEqual([]);
  });
