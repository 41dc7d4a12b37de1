import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { at, endOf, ORDERS, order, rowBatchOf } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { scratch } from './test-support.ts';

const CHILD = fileURLToPath(new URL('./crash-child.ts', import.meta.url));
const E1 = { pipeline: 'shop', table: ORDERS.table, epoch: 'e1' };
type Scratch = Awaited<ReturnType<typeof scratch>>;

/** Runs the child until it has said `lines` lines and a while more, then kills it -9, in the middle of a step; returns its last line. */
async function runAndKill({ options }: Scratch, what: string, lines: number, laterMs: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, options.endpoint, options.project, options.dataset, what], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let last = -1;
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line);
    if (++count === lines) setTimeout(() => child.kill('SIGKILL'), laterMs);
  }
  await exited;
  expect(count).toBeGreaterThanOrEqual(lines);
  return last;
}

function build(sink: Awaited<ReturnType<Scratch['open']>>) {
  const start = [{ next: 0, session: 1 }];
  return sink.build({ generation: E1, anchor: 'anchor', schema: ORDERS, partitions: 1, l0: at(100, 0), topicId: 'topic', start });
}

test('killed while staging: what is staged and the progress agree, and the table has every row once', { timeout: 120_000 }, async () => {
  await using warehouse = await scratch();
  let next = 0;
  for (const [lines, laterMs] of [
    [1, 5],
    [2, 25],
    [1, 45],
    [2, 70],
  ] as const) {
    const last = await runAndKill(warehouse, 'stage', lines, laterMs);
    await using sink = await warehouse.open();
    [next = 0] = await sink.claimRows('shop', 'parent', 'rows-topic', 1);
    expect(next).toBeGreaterThan(last);
    expect(next).toBeLessThanOrEqual(last + 2);
  }
  await using sink = await warehouse.open();
  await sink.claimRows('shop', 'parent', 'rows-topic', 1);
  await sink.stage({
    pipeline: 'shop',
    owner: 'parent',
    moves: [{ busPartition: 0, from: next, to: next + 1 }],
    batches: [rowBatchOf(ORDERS, [order(next * 20)], { epoch: 'e1', partition: 0, attempt: 'a', batch: next })],
    ends: [endOf(ORDERS, { epoch: 'e1', partition: 0, attempt: 'a', batches: next + 1, rows: next * 20 + 1 })],
  });
  expect(await build(sink)).toEqual({ rows: next * 20 + 1 });
});

test('killed while applying: progress and rows agree, and nothing acknowledged is lost', { timeout: 120_000 }, async () => {
  await using warehouse = await scratch();
  {
    await using sink = await warehouse.open();
    await sink.claimRows('shop', 'loader', 'rows-topic', 1);
    const names = { epoch: 'e1', partition: 0, attempt: 'a' };
    await sink.stage({
      pipeline: 'shop',
      owner: 'loader',
      moves: [{ busPartition: 0, from: 0, to: 1 }],
      batches: [rowBatchOf(ORDERS, [order(0)], { ...names, batch: 0 })],
      ends: [endOf(ORDERS, { ...names, batches: 1, rows: 1 })],
    });
    await build(sink);
  }
  for (const [lines, laterMs] of [
    [1, 5],
    [3, 20],
    [1, 40],
    [2, 60],
  ] as const) {
    const last = await runAndKill(warehouse, 'apply', lines, laterMs);
    await using sink = await warehouse.open();
    const status = await sink.claim(E1, 'parent'); // From here on the child's last job cannot be written any more.
    const next = status.progress[0]?.next ?? 0;
    expect(next).toBeGreaterThan(last);
    expect(next).toBeLessThanOrEqual(last + 4);
    expect(status).toMatchObject({ changesApplied: next, defects: 0, quarantined: 0 });
    const [rows] = await warehouse.query(
      `SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS ids, MAX(IF(id = 0, name, NULL)) AS name FROM ${warehouse.table('public_orders')}`,
    );
    expect(rows).toEqual({ n: String(next / 2 + 1), ids: String(next / 2 + 1), name: String(next - 2) });
  }
});
