import type { PipelinePhase, State } from '@nanosync/core';
import { followsChanges, leaseNames } from '@nanosync/core';
import type { PipelineStatus } from './status.ts';

/** Phases in which changes are captured and written. */
const MOVING: readonly PipelinePhase[] = ['anchored', 'snapshotting', 'streaming'];

/**
 * The services of which no process works on this pipeline just now, by the leases that they hold. One that took over a moment ago may be
 * missing for some seconds. Snapshot workers are needed only while there is something to read; which pipeline one works on is not asked.
 */
export async function absentServices(state: State, status: PipelineStatus): Promise<readonly string[]> {
  const { name, type, phase, request, intent, tables, query } = status;
  const moving = MOVING.includes(phase) && request === null && intent.run === 'running';
  const isWritten = intent.sink === 'running';
  const isRunning = query !== null && query.runningSinceMs !== null;
  const needed = [
    { service: 'planner', lease: leaseNames.planner(name) },
    ...(moving
      ? [
          ...(followsChanges({ replicationType: type }) ? [{ service: 'cdc-capture', lease: leaseNames.capture(name) }] : []),
          ...(isWritten ? [{ service: 'sink-writer', lease: leaseNames.rows(name) }] : []),
        ]
      : []),
    ...(query !== null && isWritten ? [{ service: 'sink-writer', lease: leaseNames.rows(name) }] : []),
    ...(isRunning ? [{ service: 'snapshot-worker', lease: leaseNames.place('snapshot-worker', 0) }] : []),
    ...(moving && phase !== 'streaming' && tables.some(({ partitions }) => partitions.done < partitions.total)
      ? [{ service: 'snapshot-worker', lease: leaseNames.place('snapshot-worker', 0) }]
      : []),
  ];
  const held = await Promise.all(needed.map(({ lease }) => state.isLeased(lease)));
  return needed.filter((_, index) => !held[index]).map(({ service }) => service);
}
