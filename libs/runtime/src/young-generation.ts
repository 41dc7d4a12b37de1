import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Both halves of the young generation together. Smaller ones cost time: objects of one batch should not live to be promoted. */
const BOUND_BYTES = 32 * 1_048_576;
/** What one round leaves alive: much of it, since V8 grows the young generation only when much survives. */
const OBJECTS = 100_000;
const MOST_ROUNDS = 100;

/**
 * Lets the heap's young generation grow to a bound and no further. On a machine with much memory V8 lets it grow to 128 MB, and a
 * process keeps that for good; the flag that bounds it is read before our first line runs, but the factor it grows by is read each
 * time. So it is grown to the bound here, in about 50 ms, and then stays.
 */
export function boundYoungGeneration(): void {
  for (let round = 0; round < MOST_ROUNDS && youngBytes() < BOUND_BYTES; round++) {
    const alive: object[] = [];
    for (let index = 0; index < OBJECTS; index++) alive.push({ index });
  }
  setFlagsFromString('--semi-space-growth-factor=1');
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')?.space_size ?? BOUND_BYTES;
}
