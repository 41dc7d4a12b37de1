import type { SourceEvent } from '@nanosync/core';
import { UNCHANGED } from '@nanosync/core';
import { at, ORDERS, order, without } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import type { Lacking } from './chunk.ts';
import { isSpent, newChunk, settle, takeReady } from './chunk.ts';

type Change = Extract<SourceEvent, { readonly kind: 'change' }>;

/** An update of this row; `lacking` ones have no body. */
function update(id: number, lacking: boolean): Change {
  const after = lacking ? without(ORDERS, order(id), 'body') : order(id);
  const rest = { op: 'u', before: null, rowless: false, keyChange: false, completed: false, txId: 1, commitMs: 1 } as const;
  return { kind: 'change', table: ORDERS.table, after, position: at(id), ...rest };
}

test('an event that lacks cells, and what stands behind it, is not delivered before it was completed', () => {
  const chunk = newChunk();
  chunk.events.push(update(1, false), update(2, true), update(3, false), update(4, true));
  const lacking = [1, 3].map((place) => ({ at: place }) as Lacking);
  chunk.lacking.push(...lacking);
  const delivered = () => (takeReady(chunk) as readonly Change[]).map(({ after }) => [after?.[0], after?.[3] === UNCHANGED]);
  expect(delivered()).toEqual([[1n, false]]);
  expect(delivered()).toEqual([]);
  expect(settle(chunk, lacking[0]!, undefined)).toBe(false);
  expect(settle(chunk, lacking[0]!, { found: true, cells: new Map([[3, 'read']]), bytes: 4 })).toBe(true);
  chunk.lacking.shift();
  expect(delivered()).toEqual([
    [2n, false],
    [3n, false],
  ]);
  expect(isSpent(chunk)).toBe(false);
  expect(settle(chunk, lacking[1]!, { found: false, cells: new Map(), bytes: 0 })).toBe(true);
  chunk.lacking.shift();
  expect(takeReady(chunk)).toMatchObject([{ rowless: true, completed: false }]);
  expect(isSpent(chunk)).toBe(true);
});
