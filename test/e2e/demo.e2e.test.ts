import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoRuns, expectSpoiled } from './demo-run.ts';

let runs: DemoRuns;

beforeAll(() => {
  runs = new DemoRuns();
});

afterAll(() => runs[Symbol.dispose]());

test('a small demo is killed, resumes, hands over, and its sink equals the source', async () => {
  const { status, output, errors } = await runs.run(['--rows', '20000', '--seconds', '1', '--json']);
  expect({ status, errors }, output).toEqual({ status: 0, errors: '' });
  const result = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '');
  expect(result).toMatchObject({
    ok: true,
    killed: true,
    missing: 0,
    extra: 0,
    different: 0,
    quarantined: 0,
    self_check: true,
    findings: [],
  });
  for (const name of ['rows_snapshotted', 'changes_applied', 'overlap_changes', 'changes_while_partly_read', 'seconds']) {
    expect(result[name], name).toBeGreaterThan(0);
  }
  expect(result.partitions_repeated).toBeGreaterThanOrEqual(0);
  expect([result.l0, result.l1].every((lsn) => /^[0-9A-F]+\/[0-9A-F]+$/.test(lsn))).toBe(true);
  expect(output).toContain('nanosync serving — Ctrl-C to stop');
  expect(output).toMatch(/INF pipeline resuming name=shop/);
  expect(output).toMatch(/INF snapshot in progress table=public\.\w+ completed_partitions=\d+\/\d+/);
  // Off a terminal there are lines only.
  expect(output.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  expect(runs.leftovers()).toEqual([]);
});

test('a sink that was spoiled ends with status 1 and its key is named', async () => {
  await expectSpoiled(runs, 'cell', 'differs in description');
});

test('Ctrl-C while tables are being copied leaves no process and no folder', async () => {
  const { status, output, errors } = await runs.run(['--rows', '20000'], (said, child) => {
    if (said.includes('INF snapshotting')) child.kill('SIGINT');
  });
  expect(status, output + errors).toBe(130);
  expect(runs.leftovers()).toEqual([]);
});

test('a wrong flag is answered in one sentence, with status 2', async () => {
  expect(await runs.run(['--rows', 'all'])).toEqual({
    status: 2,
    output: '',
    errors: '--rows takes a whole number from 1000 to 50000000, not "all".\n',
  });
});
