import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoRuns } from './demo-run.ts';

let runs: DemoRuns;

beforeAll(() => {
  runs = new DemoRuns();
});

afterAll(() => runs[Symbol.dispose]());

test('a clustered demo loses a worker in the middle of a partition, hands over, and BigQuery equals the source', async () => {
  const { status, output, errors } = await runs.run(['--clustered', '--rows', '20000', '--seconds', '1', '--json']);
  expect({ status, errors }, output).toEqual({ status: 0, errors: '' });
  const result = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '');
  expect(result, output).toMatchObject({
    ...{ ok: true, killed: true, missing: 0, extra: 0, different: 0, quarantined: 0, self_check: true, findings: [] },
  });
  for (const name of ['rows_snapshotted', 'changes_applied', 'overlap_changes', 'changes_while_partly_read', 'partitions_repeated'])
    expect(result[name], `${name}\n${output}`).toBeGreaterThan(0);
  const processes = ['planner', 'snapshot-worker 1', 'snapshot-worker 2', 'cdc-capture', 'sink-writer 1', 'sink-writer 2'];
  expect(Object.keys(result.rss_mb_by_process)).toEqual(processes);
  for (const name of processes) expect(output).toContain(`│ ${name.padEnd(17)} nanosync ${name.split(' ')[0]} serving`);
  expect(output).toContain('Kill snapshot-worker 1 with -9');
  expect(output).toMatch(/│ snapshot-worker 2 INF snapshotting/);
  expect(runs.leftovers()).toEqual([]);
});
