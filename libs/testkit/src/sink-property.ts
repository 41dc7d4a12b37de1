import type { Row, SinkChange } from '@nanosync/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { at, changeOf, ORDERS, order, orderText, without } from './sink-fixtures.ts';
import type { SinkHarness } from './sink-scenario.ts';
import { expectKind, setUp, writerOf } from './sink-scenario.ts';

/** Histories of random changes against a model. */
export function propertyOfHistories(makeHarness: () => Promise<SinkHarness>, histories: number): void {
  test('any sequence of changes, however it is cut into batches and repeated, leaves what the model has', {
    timeout: 60_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(history, async ({ base, steps, cuts }) => {
        await using own = await makeHarness();
        await using fresh = await own.open();
        await setUp(
          fresh,
          base.map((id) => order(id)),
        );
        const writer = await writerOf(fresh, 'w');
        const { batches, rows } = model(base, steps, cuts);
        for (const changes of batches) {
          const request = writer.request(...changes);
          const done = await fresh.apply(request);
          expect(done).toEqual({ applied: changes.length, quarantined: [], defects: 0 });
          await expectKind('conflict', fresh.apply(request));
        }
        expect(await own.read(ORDERS.table)).toEqual(rows.map(orderText));
      }),
      { numRuns: histories, endOnFailure: histories < 10 },
    );
  });
}

type Step = { readonly kind: 'put' | 'patch' | 'delete' | 'truncate' | 'rowless'; readonly id: number; readonly text: string };

const history = fc.record({
  base: fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 6 }),
  steps: fc.array(
    fc.record({
      kind: fc.constantFrom<Step['kind'][]>('put', 'put', 'patch', 'patch', 'delete', 'delete', 'rowless', 'truncate'),
      id: fc.integer({ min: 1, max: 10 }),
      text: fc.string({ maxLength: 20, unit: 'grapheme' }).filter((text) => !text.includes('\0')),
    }),
    { maxLength: 40 },
  ),
  cuts: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 20 }),
});

/** Plays a history on a map, and cuts its changes into batches; keys are spread over the two bus partitions. */
function model(base: readonly number[], steps: readonly Step[], cuts: readonly number[]) {
  const rows = new Map<number, Row>(base.map((id) => [id, order(id)]));
  const changes: SinkChange[] = [];
  for (const [index, { kind, id, text }] of steps.entries()) {
    const position = at(101 + index);
    const busPartition = id % 2;
    const old = rows.get(id);
    if (kind === 'truncate') {
      rows.clear();
      for (const part of [0, 1]) changes.push(changeOf(ORDERS, 't', null, position, { busPartition: part }));
    } else if (kind === 'delete') {
      rows.delete(id);
      changes.push(changeOf(ORDERS, 'd', without(ORDERS, order(id), 'name', 'amount', 'body', 'paid'), position, { busPartition }));
    } else if (kind === 'rowless' && old === undefined) {
      changes.push(changeOf(ORDERS, 'u', without(ORDERS, order(id, text), 'body'), position, { busPartition, rowless: true }));
    } else if (kind === 'patch' && old !== undefined) {
      const patched: Row = [old[0] ?? null, text, null, old[3] ?? null, old[4] ?? null];
      rows.set(id, patched);
      changes.push(changeOf(ORDERS, 'u', without(ORDERS, patched, 'body', 'paid'), position, { busPartition }));
    } else {
      rows.set(id, order(id, text, `body of ${text}`));
      changes.push(changeOf(ORDERS, old === undefined ? 'c' : 'u', order(id, text, `body of ${text}`), position, { busPartition }));
    }
  }
  const batches: SinkChange[][] = [];
  let from = 0;
  for (const size of [...cuts, changes.length]) {
    if (from < changes.length) batches.push(changes.slice(from, from + size));
    from += size;
  }
  return { batches, rows: [...rows].sort(([a], [b]) => a - b).map(([, row]) => row) };
}
