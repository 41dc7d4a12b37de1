import type { PipelineRecord, TableRecord } from '@nanosync/core';
import { expect, test } from 'vitest';
import { completedTables, unbasedTables } from './unbased-tables.ts';

const pipeline = (replicationType: string) => ({ definition: { replicationType } }) as unknown as PipelineRecord;
const record = (table: string, more: object) => ({ table, older: null, ...more }) as unknown as TableRecord;

test('a table that is copied anew beside one that has all rows is completed, and loses none to a row that is gone; beside one that has not it does', () => {
  const tables = [
    record('s.whole', {}),
    record('s.beside', { older: { epoch: 'e', based: true } }),
    record('s.unsure', { older: { epoch: 'e' } }),
    record('s.adopted', { adopts: true }),
    record('s.stopped', { missing: [[1, 2]] }),
  ];
  expect([...completedTables(pipeline('cdc_backfill'), tables)]).toEqual(['s.beside', 's.unsure', 's.adopted', 's.stopped']);
  expect([...unbasedTables(pipeline('cdc_backfill'), tables)]).toEqual(['s.unsure', 's.adopted', 's.stopped']);
  expect(unbasedTables(pipeline('cdc'), tables).size).toBe(5);
});
