/** Numbers of partitions, in order, as runs from the first to the last of each. */
export type PartitionRuns = readonly (readonly [number, number])[];

/** Ascending numbers as runs. */
export function partitionRuns(numbers: Iterable<number>): PartitionRuns {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs;
}

/** True when one of the runs has this partition. */
export function hasPartition(runs: PartitionRuns, partition: number): boolean {
  return runs.some(([first, last]) => first <= partition && partition <= last);
}

/** True where a table's copy was stopped before this partition was read; `missing` as in its record. */
export function isLeftOut(
  { missing, partitions }: { readonly missing?: PartitionRuns; readonly partitions: number },
  partition: number,
): boolean {
  return missing !== undefined && (partitions === 0 || hasPartition(missing, partition));
}

/** How many partitions the runs have. */
export function countPartitions(runs: PartitionRuns): number {
  return runs.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** The partitions from 0 on, `count` in all, that the runs do not have. */
export function otherPartitions(runs: PartitionRuns, count: number): readonly number[] {
  return Array.from({ length: count }, (_, partition) => partition).filter((partition) => !hasPartition(runs, partition));
}
