import { expect, test } from 'vitest';
import { type Difference, type KeyOrder, mergeRows } from './merge.ts';

async function* inBatches(rows: readonly (readonly string[])[], size: number) {
  for (let at = 0; at < rows.length; at += size) yield rows.slice(at, at + size);
}

async function differences(
  source: readonly (readonly string[])[],
  sink: readonly (readonly string[])[],
  orders: readonly KeyOrder[] = ['integer'],
): Promise<readonly Difference[]> {
  const found: Difference[] = [];
  await mergeRows(inBatches(source, 2), inBatches(sink, 3), orders, (difference) => found.push(difference));
  return found;
}

const three = [
  ['2', 'a'],
  ['10', 'b'],
  ['9007199254740993', 'c'],
] as const;

test('equal ends have no differences, whatever their batches', async () => {
  expect(await differences(three, three)).toEqual([]);
  expect(await differences([], [])).toEqual([]);
});

test('missing, extra, different and doubled rows are each found with their key', async () => {
  expect(await differences(three, three.slice(1))).toEqual([{ kind: 'missing', key: ['2'] }]);
  expect(await differences(three.slice(0, 2), three)).toEqual([{ kind: 'extra', key: ['9007199254740993'] }]);
  expect(await differences(three, [three[0], ['10', 'B'], three[2]])).toEqual([{ kind: 'different', key: ['10'], source: 'b', sink: 'B' }]);
  expect(await differences(three, [three[0], three[1], three[1], three[2]])).toEqual([{ kind: 'extra', key: ['10'] }]);
  expect(await differences(three, [...three, three[2]])).toEqual([{ kind: 'extra', key: ['9007199254740993'] }]);
});

test('a changed key is one missing and one extra row', async () => {
  expect(await differences([['1', 'x']], [['2', 'x']])).toEqual([
    { kind: 'missing', key: ['1'] },
    { kind: 'extra', key: ['2'] },
  ]);
});

test('text keys are ordered by their bytes, and composite keys part by part', async () => {
  // UTF-16 order would put the second before the first.
  const rows = [
    ['\uff5e', '1', 'x'],
    ['\u{1f600}', '1', 'y'],
  ];
  expect(await differences(rows, rows.slice(1), ['text', 'integer'])).toEqual([{ kind: 'missing', key: ['\uff5e', '1'] }]);
});

test('rows out of order are refused', async () => {
  await expect(differences([...three].reverse(), three)).rejects.toThrow('not in key order');
});
