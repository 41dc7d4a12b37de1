import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PipelineError } from '@nanosync/core';
import { ORDERS, order } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { generationOf, load, scratch } from './test-support.ts';

const CHILD = fileURLToPath(new URL('./crash-child.ts', import.meta.url));

/** Runs the child until it has said `lines` lines, then kills it -9, in the middle of its next step; returns its last line. */
async function runAndKill(path: string, what: string, lines: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, path, what], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let last = -1;
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line);
    if (++count === lines) child.kill('SIGKILL');
  }
  await exited;
  expect(count).toBeGreaterThanOrEqual(lines);
  return last;
}

test('killed while staging: ledger, progress and rows agree, and nothing acknowledged is lost', { timeout: 60_000 }, async () => {
  await using file = scratch();
  for (const lines of [3, 8, 1, 15]) {
    const last = await runAndKill(file.options.path, 'stage', lines);
    await using sink = await file.open();
    const [next = 0] = await sink.claimRows('shop', 'parent', 'rows-topic', 1);
    expect(next).toBeGreaterThan(last);
    expect(next).toBeLessThanOrEqual(last + 2);
    const [rows] = await file.query(
      `SELECT count(*)::INTEGER AS n, count(DISTINCT id)::INTEGER AS ids, max(id)::INTEGER AS last FROM _nanosync."stage:shop/public.orders/e1"`,
    );
    expect(rows).toEqual({ n: next * 500, ids: next * 500, last: next * 500 - 1 });
    const [ledger] = await file.query('SELECT count(*)::INTEGER AS n, sum(row_count)::INTEGER AS rows FROM _nanosync.staged_batches');
    expect(ledger).toEqual({ n: next, rows: next * 500 });
  }
});

test('killed while applying: progress and rows agree, and nothing acknowledged is lost', { timeout: 60_000 }, async () => {
  await using file = scratch();
  {
    await using sink = await file.open();
    await load(sink, ORDERS, [order(0)]);
  }
  for (const lines of [3, 10, 1, 20]) {
    const last = await runAndKill(file.options.path, 'apply', lines);
    await using sink = await file.open();
    const status = await sink.generation(generationOf(ORDERS));
    const next = status?.progress[0]?.next ?? 0;
    expect(next).toBeGreaterThan(last);
    expect(next).toBeLessThanOrEqual(last + 4);
    expect(status).toMatchObject({ changesApplied: next, defects: 0, quarantined: 0 });
    const [rows] = await file.query(
      `SELECT count(*)::INTEGER AS n, count(DISTINCT id)::INTEGER AS ids, any_value(name) FILTER (id = 0) AS name FROM public.orders`,
    );
    expect(rows).toEqual({ n: next / 2 + 1, ids: next / 2 + 1, name: String(next - 2) });
  }
});

test('a file that another process has is unavailable, and the message names the process', { timeout: 60_000 }, async () => {
  await using file = scratch();
  const child = spawn(process.execPath, [CHILD, file.options.path, 'stage'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  const error = await file.open().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  child.kill('SIGKILL');
  await exited;
  expect(error).toBeInstanceOf(PipelineError);
  expect(error).toMatchObject({ kind: 'unavailable', message: `${file.options.path} is open in another process (pid ${child.pid}).` });
  await using sink = await file.open();
  await sink.claimRows('shop', 'parent', 'rows-topic', 1);
});
