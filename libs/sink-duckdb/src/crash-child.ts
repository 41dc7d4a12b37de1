import { at, changeOf, ORDERS, order, rowBatchOf } from '@nanosync/testkit';
import { openDuckdbSink } from './index.ts';
import { applyTo, quiet } from './test-support.ts';

/**
 * The child of the crash test: stages or applies for ever, says how far it is after each step, and is killed. Batch n carries
 * the rows n*500 to n*500+499; change batch n sets row 0 to `n` and inserts row n+1.
 */
const [, , path = '', what = ''] = process.argv;
const sink = await openDuckdbSink({ path, log: quiet, threads: 1 });

if (what === 'stage') {
  let [next = 0] = await sink.claimRows('shop', 'child', 'rows-topic', 1);
  for (; ; next++) {
    const rows = Array.from({ length: 500 }, (_, index) => order(next * 500 + index));
    const batch = rowBatchOf(ORDERS, rows, { epoch: 'e1', partition: 0, attempt: 'a', batch: next });
    await sink.stage({
      pipeline: 'shop',
      owner: 'child',
      moves: [{ busPartition: 0, from: next, to: next + 1 }],
      batches: [batch],
      ends: [],
    });
    process.stdout.write(`${next}\n`);
  }
}
if (what === 'apply') {
  const { progress } = await sink.claim({ pipeline: 'shop', table: ORDERS.table, epoch: 'e1' }, 'writer');
  for (let next = progress[0]?.next ?? 0; ; next += 2) {
    const changes = [
      changeOf(ORDERS, 'u', order(0, String(next)), at(1000 + next)),
      changeOf(ORDERS, 'c', order(next + 1), at(1001 + next)),
    ];
    await applyTo(sink, ORDERS, ...changes);
    process.stdout.write(`${next}\n`);
  }
}
process.stdout.write('open\n');
await new Promise(() => setInterval(() => undefined, 1000)); // Holds the file until it is killed.
