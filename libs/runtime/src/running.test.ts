import type { PipelinePhase, ReplicationType, State } from '@nanosync/core';
import { leaseNames, RUNNING } from '@nanosync/core';
import { expect, test } from 'vitest';
import { absentServices } from './running.ts';
import type { PipelineStatus } from './status.ts';

const pipeline = (phase: PipelinePhase, done: number, type: ReplicationType = 'cdc_backfill') =>
  ({
    name: 'p',
    type,
    phase,
    request: null,
    intent: RUNNING,
    query: null,
    tables: [{ partitions: { done, total: 3 } }],
  }) as unknown as PipelineStatus;

const holding = (...leases: readonly string[]) => ({ isLeased: async (name: string) => leases.includes(name) }) as unknown as State;

const OTHERS = [leaseNames.planner('p'), leaseNames.capture('p'), leaseNames.rows('p')];

test('a snapshot that nobody reads is told from one that somebody reads, and from one that is read', async () => {
  expect(await absentServices(holding(...OTHERS), pipeline('snapshotting', 2))).toEqual(['snapshot-worker']);
  expect(await absentServices(holding(...OTHERS, leaseNames.place('snapshot-worker', 0)), pipeline('snapshotting', 2))).toEqual([]);
  expect(await absentServices(holding(...OTHERS), pipeline('snapshotting', 3))).toEqual([]);
  expect(await absentServices(holding(...OTHERS), pipeline('streaming', 3))).toEqual([]);
  expect(await absentServices(holding(), pipeline('streaming', 3))).toEqual(['planner', 'cdc-capture', 'sink-writer']);
});

test('a copy that nothing follows needs no capture, and once it is completed only the planner', async () => {
  expect(await absentServices(holding(), pipeline('snapshotting', 3, 'snapshot'))).toEqual(['planner', 'sink-writer']);
  expect(await absentServices(holding(), pipeline('completed', 3, 'snapshot'))).toEqual(['planner']);
});
