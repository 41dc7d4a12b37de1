import { randomIds, systemClock } from '@nanosync/runtime';
import { at, changeOf, ORDERS, order, rowBatchOf } from '@nanosync/testkit';
import { openBigQuerySink } from './index.ts';
import { quiet } from './test-support.ts';

/**
 * The child of the crash test: stages or applies for ever, says how far it is after each step, and is killed. Batch n carries
 * the rows n*20 to n*20+19; change batch n sets row 0 to `n` and inserts row n+1.
 */
const [, , endpoint = '', project = '', dataset = '', what = ''] = process.argv;
const sink = await openBigQuerySink({ project, dataset, endpoint, log: quiet, clock: systemClock(), ids: randomIds() });

if (what === 'stage') {
  let [next = 0] = await sink.claimRows('shop', 'child', 'rows-topic', 1);
  for (; ; next++) {
    const rows = Array.from({ length: 20 }, (_, index) => order(next * 20 + index));
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
const generation = { pipeline: 'shop', table: ORDERS.table, epoch: 'e1' };
const { progress } = await sink.claim(generation, 'writer');
for (let next = progress[0]?.next ?? 0; ; next += 2) {
  const changes = [changeOf(ORDERS, 'u', order(0, String(next)), at(1000 + next)), changeOf(ORDERS, 'c', order(next + 1), at(1001 + next))];
  const moves = [{ busPartition: 0, from: next, to: next + 2, session: 1, last: at(1001 + next), floor: null }];
  await sink.apply({ generation, owner: 'writer', schema: ORDERS, moves, changes });
  process.stdout.write(`${next}\n`);
}
