import { expect, test } from 'vitest';
import { countPartitions, hasPartition, otherPartitions, partitionRuns } from './partition-runs.ts';

test('numbers become runs, which know what they have and what not', () => {
  const runs = partitionRuns([0, 1, 2, 5, 7, 8]);
  expect(runs).toEqual([
    [0, 2],
    [5, 5],
    [7, 8],
  ]);
  expect([0, 2, 3, 5, 6, 8, 9].filter((partition) => hasPartition(runs, partition))).toEqual([0, 2, 5, 8]);
  expect(countPartitions(runs)).toBe(6);
  expect(otherPartitions(runs, 10)).toEqual([3, 4, 6, 9]);
  expect(partitionRuns([])).toEqual([]);
  expect(otherPartitions([], 2)).toEqual([0, 1]);
});
