import { expect, test } from 'vitest';
import { PARTITION_MACHINE, PIPELINE_MACHINE, step, TABLE_MACHINE } from './phases.ts';

test('durable may follow any state of a partition and is never undone', () => {
  for (const phase of Object.keys(PARTITION_MACHINE) as (keyof typeof PARTITION_MACHINE)[])
    expect(PARTITION_MACHINE[phase].durable).toBe('durable');
  for (const next of Object.values(PARTITION_MACHINE.durable)) expect(next === null || next === 'durable').toBe(true);
});

test('a pipeline can be repaired from every phase it can fail in', () => {
  expect(step(PIPELINE_MACHINE, 'failed', 'resnapshot')).toBe('created');
  expect(() => step(PIPELINE_MACHINE, 'failed', 'resume-streaming')).toThrow('impossible');
});

test('a table is built once and then follows', () => {
  expect(step(TABLE_MACHINE, 'snapshotting', 'built')).toBe('built');
  expect(step(TABLE_MACHINE, 'built', 'caught-up')).toBe('following');
  expect(() => step(TABLE_MACHINE, 'planned', 'built')).toThrow('impossible');
});
