import { expect, test } from 'vitest';
import { DemoRuns, expectSpoiled } from './demo-run.ts';

// A cell of other content is in `demo.e2e.test.ts`.
test.for([
  ['drop', 'missing at the sink'],
  ['double', 'extra at the sink'],
] as const)('a sink that was spoiled (%s) ends with status 1 and its key is named', async ([how, finding]) => {
  using runs = new DemoRuns();
  await expectSpoiled(runs, how, finding);
});

test('Ctrl-C while the engines of a clustered demo start, and while tables are copied, leaves no process and no folder', async () => {
  using runs = new DemoRuns();
  for (const moment of ['Start Kafka', 'INF snapshotting']) {
    const { status } = await runs.run(['--clustered', '--rows', '5000'], (output, child) => {
      if (output.includes(moment)) child.kill('SIGINT');
    });
    expect(status).toBe(130);
    expect(runs.leftovers()).toEqual([]);
  }
});
