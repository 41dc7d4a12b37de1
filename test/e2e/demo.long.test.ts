import { test } from 'vitest';
import { DemoRuns, expectSpoiled } from './demo-run.ts';

// A cell of other content is in `demo.e2e.test.ts`.
test.for([
  ['drop', 'missing at the sink'],
  ['double', 'extra at the sink'],
] as const)('a sink that was spoiled (%s) ends with status 1 and its key is named', async ([how, finding]) => {
  using runs = new DemoRuns();
  await expectSpoiled(runs, how, finding);
});
