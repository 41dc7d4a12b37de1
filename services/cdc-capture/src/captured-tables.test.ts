import type { CaptureRecord, TableRecord } from '@nanosync/core';
import { positionOf, RECORD_VERSION } from '@nanosync/core';
import { ORDERS } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { asBegun } from './captured-tables.ts';

const NOW = { ...ORDERS, columns: ORDERS.columns.slice(0, 2) };
const OLDER = { epoch: 'e1', schema: ORDERS, storage: 'older', quarantinedBefore: 0 };
const RECORD: TableRecord = {
  ...{
    v: RECORD_VERSION,
    table: ORDERS.table,
    phase: 'planned',
    anchor: 'a',
    epoch: 'e3',
    schema: NOW,
    storage: 'now',
    l0: positionOf(1n, 0n),
  },
  ...{ l1Requested: false, partitions: 0, voids: 0, estimatedRows: 1, busPartitions: 1, older: OLDER, failure: null },
};

test.each([
  ['before anything of it was met', undefined, [], OLDER],
  ['while the stream is at the older epoch', 'e1', [], OLDER],
  ['when its marker was met and nothing stored yet', 'e1', ['e3'], RECORD],
  ['once it is stored that it has begun', 'e3', [], RECORD],
  ['once an epoch in between has begun, which was given up: what that kept back is not shown again', 'e2', [], RECORD],
] as const)('a copy with other columns is decoded %s', (_, epoch, next, by) => {
  const captured = (epoch === undefined ? {} : { [ORDERS.table]: { epoch } }) as unknown as CaptureRecord['tables'];
  expect(asBegun([RECORD], captured, new Set(next))).toEqual([{ ...RECORD, schema: by.schema, storage: by.storage }]);
});
