import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const BENCH = fileURLToPath(new URL('../bench/main.ts', import.meta.url));

function bench(...args: readonly string[]) {
  return spawnSync(process.execPath, [BENCH, ...args], { encoding: 'utf8' });
}

test('a small bench measures everything', () => {
  const { status, stdout, stderr } = bench('--rows', '5000', '--changes', '3000', '--runs', '1', '--json');
  expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
  const result = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  for (const name of ['end_to_end_vs_copy', 'encode_vs_copy', 'changes_vs_recvlogical', 'rss_mb'])
    expect(result[name], name).toBeGreaterThan(0);
  expect(result).toMatchObject({ rows: 5000, changes: 3000, runs: 1 });
});

test('a small clustered bench measures everything, reads no partition twice and keeps its memory', () => {
  const { status, stdout, stderr } = bench('--clustered', '--rows', '5000', '--changes', '3000', '--runs', '1', '--json');
  expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
  const result = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  const ratios = ['to_kafka_vs_copy', 'changes_vs_recvlogical', 'two_workers_vs_one'];
  for (const name of [...ratios, 'latency_p50_ms', 'latency_p99_ms', 'worker_rss_mb', 'capture_rss_mb'])
    expect(result[name], name).toBeGreaterThan(0);
  expect(result.partitions_read_twice).toBe(0);
  for (const name of ['worker_rss_mb', 'capture_rss_mb']) expect(result[name], name).toBeLessThan(300);
});

test('a wrong number is answered in one sentence, with status 2', () => {
  expect(bench('--runs', '0')).toMatchObject({ status: 2, stdout: '', stderr: '--runs takes a whole number from 1 to 100, not "0".\n' });
});
