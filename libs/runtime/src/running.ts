import type { PipelinePhase, State } from '@nanosync/core';
import { leaseNames } from '@nanosync/core';
import type { PipelineStatus } from './status.ts';

/** Phases in which changes are captured and written. */
const MOVING: readonly PipelinePhase[] = ['anchored', 'snapshotting', 'streaming'];

/**
 * The services of which no process works on this pipeline just now, by the leases that they hold. One that took over a moment ago may be
 * missing for some seconds. Snapshot workers hold none: they are needed only while there are tasks.
 */
export async function absentServices(state: State, { name, phase, request }: PipelineStatus): Promise<readonly string[]> {
  const moving = MOVING.includes(phase) && request === null;
  const needed = [
    { service: 'planner', lease: leaseNames.planner(name) },
    ...(moving
      ? [
          { service: 'cdc-capture', lease: leaseNames.capture(name) },
          { service: 'sink-writer', lease: leaseNames.rows(name) },
        ]
      : []),
  ];
  const held = await Promise.all(needed.map(({ lease }) => state.isLeased(lease)));
  return needed.filter((_, index) => !held[index]).map(({ service }) => service);
}
