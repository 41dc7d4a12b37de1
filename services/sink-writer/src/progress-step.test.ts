import type { BusProgress, ChangeEvent, ControlEvent, TableSchema } from '@nanosync/core';
import { positionOf, tableIdOf } from '@nanosync/core';
import { expect, test } from 'vitest';
import type { DecodedMessage } from './change-decoder.ts';
import { takeMessages } from './progress-step.ts';

const at = (lsn: number, index = 4) => positionOf(BigInt(lsn), BigInt(index));
const SCHEMA: TableSchema = { table: tableIdOf('public', 't'), columns: [], key: [] };
const before: BusProgress = { busPartition: 1, next: 10, session: 2, last: at(100), floor: null };
const take = (...decoded: DecodedMessage[]) => takeMessages({ before, decoded, anchor: 'a1', fits: (schema) => schema === SCHEMA });

function change(offset: number, lsn: number, options: { session?: number; op?: ChangeEvent['op'] } = {}): DecodedMessage {
  const { session = 2, op = 'u' } = options;
  const event: ChangeEvent = {
    table: tableIdOf('public', 't'),
    op,
    before: null,
    after: [1n],
    rowless: false,
    position: at(lsn),
    epoch: 'e1',
    session,
    txId: 1,
    commitMs: 1,
  };
  return { kind: 'change', offset, key: Buffer.from('k'), event, schema: SCHEMA };
}

function control(offset: number, lsn: number, event: Partial<ControlEvent>): DecodedMessage {
  const full = {
    table: 'public.t',
    anchor: 'a1',
    epoch: 'e1',
    position: at(lsn),
    session: 2,
    tsMs: 0,
    detail: '',
    kind: 'watermark',
    ...event,
  };
  return { kind: 'control', offset, event: full as ControlEvent };
}

test('a lower session, and a position at or below the last, are duplicates and still move the offset', () => {
  const step = take(
    change(10, 100),
    change(11, 101),
    change(12, 99, { session: 3 }),
    change(13, 102, { session: 3 }),
    change(14, 103, { session: 2 }),
  );
  expect(step.changes.map(({ event }) => event.position)).toEqual([at(101), at(102)]);
  expect(step.move).toEqual({ busPartition: 1, from: 10, to: 15, session: 3, last: at(102), floor: null });
  expect(step.duplicates).toBe(3);
});

test('a watermark moves the position and is no change', () => {
  expect(take(control(10, 500, { kind: 'watermark' }))).toMatchObject({ changes: [], move: { to: 11, last: at(500) } });
});

test('a truncation raises the floor', () => {
  expect(take(change(10, 200, { op: 't' }), change(11, 201)).move.floor).toBe(at(200));
});

test('changed columns, and another anchor, stop the stream and are not moved past', () => {
  const changed = take(change(10, 101), control(11, 102, { kind: 'schema', detail: 'columns changed' }), change(12, 103));
  expect(changed).toMatchObject({ stop: 'columns changed', move: { to: 11, last: at(101) } });
  expect(take(control(10, 102, { kind: 'generation', anchor: 'a2', epoch: 'e2' })).stop).toContain('anchored anew');
});

test('what a zombie session of another anchor says stops nothing', () => {
  expect(take(control(10, 102, { anchor: 'a0', session: 1, kind: 'schema' })).stop).toBeNull();
});

test('a missing offset is a defect, never passed over', () => {
  expect(() => take(change(11, 101))).toThrow('Offset 10 was expected');
});

test('changes with other columns stop the stream and are not moved past; one that comes again stops nothing', () => {
  const other = { ...SCHEMA, key: ['other'] };
  const step = take({ ...change(10, 99), schema: other } as DecodedMessage, change(11, 101), {
    ...change(12, 102),
    schema: other,
  } as DecodedMessage);
  expect(step).toMatchObject({ move: { to: 12, last: at(101) }, duplicates: 1, stop: 'Its changes have other columns from here on.' });
  expect(step.changes).toHaveLength(1);
});
