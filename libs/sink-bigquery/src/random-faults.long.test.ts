import type { Row, Sink } from '@nanosync/core';
import { isKind } from '@nanosync/core';
import type { Fault, FaultAction } from '@nanosync/testkit';
import { at, changeOf, clusterStack, endOf, ORDERS, order, rowBatchOf, startBigQueryProxy, without } from '@nanosync/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { scratch } from './test-support.ts';

const E1 = { pipeline: 'shop', table: ORDERS.table, epoch: 'e1' };
const BATCHES = 6;
const STEPS = 24;

const ACTIONS: readonly FaultAction[] = [
  { do: 'loseReply' },
  { do: 'loseReply' },
  { do: 'loseRequest' },
  { do: 'answer', error: 'backendError' },
  { do: 'failJob', error: 'concurrentUpdate' },
  { do: 'failJob', error: 'quotaExceeded' },
];

/** Requests that change something meet these, each after so many others. */
const faults = fc.array(
  fc.record({ action: fc.constantFrom(...ACTIONS), skip: fc.integer({ min: 0, max: 60 }), times: fc.constantFrom(1, 1, 1, 7) }),
  { minLength: 12, maxLength: 18 },
);
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom('put', 'put', 'patch', 'delete'),
    id: fc.integer({ min: 0, max: 7 }),
    text: fc.string({ maxLength: 10 }),
  }),
  { minLength: STEPS, maxLength: STEPS },
);

/** Plays the steps on a map: the changes one by one, and the rows in the end. */
function model(played: readonly { readonly kind: string; readonly id: number; readonly text: string }[]) {
  const rows = new Map<number, Row>(Array.from({ length: BATCHES }, (_, id) => [id, order(id)]));
  const changes = played.map(({ kind, id, text }, index) => {
    const old = rows.get(id);
    if (kind === 'delete') {
      rows.delete(id);
      return changeOf(ORDERS, 'd', order(id), at(200 + index));
    }
    if (kind === 'patch' && old !== undefined) {
      const patched: Row = [old[0] ?? null, text, old[2] ?? null, old[3] ?? null, old[4] ?? null];
      rows.set(id, patched);
      return changeOf(ORDERS, 'u', without(ORDERS, patched, 'body', 'amount'), at(200 + index));
    }
    rows.set(id, order(id, text));
    return changeOf(ORDERS, old === undefined ? 'c' : 'u', order(id, text), at(200 + index));
  });
  return { changes, rows };
}

/** Does work again and again, each time from a new claim, until nothing stops it any more. */
async function untilDone(work: (owner: string) => Promise<void>): Promise<void> {
  for (let claim = 0; ; claim++) {
    try {
      return await work(`owner ${claim}`);
    } catch (error) {
      if (!isKind(error, 'unavailable', 'conflict') || claim > 30) throw error;
    }
  }
}

async function stageAll(sink: Sink, owner: string): Promise<void> {
  const names = { epoch: 'e1', partition: 0, attempt: 'a' };
  let [next = 0] = await sink.claimRows('shop', owner, 'stream', 1);
  for (; next < BATCHES; next++)
    await sink.stage({
      pipeline: 'shop',
      owner,
      moves: [{ busPartition: 0, from: next, to: next + 1 }],
      batches: [rowBatchOf(ORDERS, [order(next)], { ...names, batch: next })],
      ends: next === BATCHES - 1 ? [endOf(ORDERS, { ...names, batches: BATCHES, rows: BATCHES })] : [],
    });
  const start = [{ next: 0, session: 1 }];
  await sink.build({ generation: E1, anchor: 'anchor', schema: ORDERS, partitions: 1, l0: at(100, 0), topicId: 'topic', start });
}

async function applyAll(sink: Sink, owner: string, changes: ReturnType<typeof model>['changes']): Promise<void> {
  let next = (await sink.claim(E1, owner)).progress[0]?.next ?? 0;
  for (let size = 1; next < changes.length; size = (size % 4) + 1) {
    const part = changes.slice(next, next + size);
    const last = part.at(-1)?.event.position ?? at(100, 0);
    const moves = [{ busPartition: 0, from: next, to: next + part.length, session: 1, last, floor: null }];
    await sink.apply({ generation: E1, owner, schema: ORDERS, moves, changes: part });
    next += part.length;
  }
}

test('whatever is refused, fails or stays unanswered, each row and each change is written once', { timeout: 300_000 }, async () => {
  await using proxy = await startBigQueryProxy({ upstream: (await clusterStack('bigquery')).bigquery.url });
  await fc.assert(
    fc.asyncProperty(faults, steps, async (planned, played) => {
      await using warehouse = await scratch(proxy.url);
      const disturb = () => {
        proxy.faults.remove();
        for (const { action, skip, times } of planned) {
          const match: Fault['match'] = action.do === 'failJob' ? { kind: 'insert' } : { method: 'POST' };
          proxy.faults.add({ match, action, skip, times });
        }
      };
      await using sink = await warehouse.open();
      const { changes, rows } = model(played);
      disturb();
      await untilDone((owner) => stageAll(sink, owner));
      disturb();
      await untilDone((owner) => applyAll(sink, owner, changes));
      proxy.faults.remove();
      const found = await warehouse.query(
        `SELECT CAST(id AS STRING) AS id, name, body FROM ${warehouse.table('public_orders')} AS t ORDER BY t.id`,
      );
      const wanted = [...rows].sort(([a], [b]) => a - b).map(([id, row]) => ({ id: String(id), name: row[1], body: row[3] }));
      expect(found).toEqual(wanted);
      expect(await sink.generation(E1)).toMatchObject({ rowsBuilt: BATCHES, changesApplied: STEPS, quarantined: 0, defects: 0 });
    }),
    { numRuns: 1, endOnFailure: true },
  );
});
