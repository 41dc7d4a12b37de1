import { LogicalReplicationService } from 'pg-logical-replication';
import { expect, test } from 'vitest';
import { Acknowledgements, driverLsn } from './acknowledge.ts';
import { positionOfLsn } from './position.ts';

const defect = expect.objectContaining({ kind: 'defect' });

test('only values that an event named are taken, once or again', () => {
  const values = new Acknowledgements(10n);
  values.offer('commit', 20n);
  values.offer('idle', 30n);
  values.offer('commit', 40n);
  expect(() => values.acknowledge(positionOfLsn(21n))).toThrow(defect);
  expect(() => values.acknowledge(positionOfLsn(41n))).toThrow(defect);
  expect(() => values.acknowledge(positionOfLsn(20n, 5n))).toThrow(defect);
  expect(values.confirmed).toBe(10n);
  expect(values.acknowledge(positionOfLsn(30n))).toBe(true);
  expect(values.acknowledge(positionOfLsn(30n))).toBe(true);
  expect(values.confirmed).toBe(30n);
});

test('an older value never takes the confirmed one back', () => {
  const values = new Acknowledgements(10n);
  values.offer('commit', 20n);
  values.offer('commit', 30n);
  values.acknowledge(positionOfLsn(30n));
  expect(values.acknowledge(positionOfLsn(20n))).toBe(false);
  expect(values.acknowledge(positionOfLsn(10n))).toBe(false);
  expect(values.confirmed).toBe(30n);
});

test('it is settled when no delivered commit waits, also for one that lies exactly at the start', () => {
  const values = new Acknowledgements(10n);
  expect(values.settled).toBe(true);
  values.offer('commit', 10n);
  expect(values.settled).toBe(false);
  values.acknowledge(positionOfLsn(10n));
  expect(values.settled).toBe(true);
  values.offer('idle', 11n);
  expect(values.settled).toBe(true);
});

test('thousands of commits leave nothing behind once acknowledged', () => {
  const values = new Acknowledgements(0n);
  for (let lsn = 1n; lsn <= 5000n; lsn++) values.offer('commit', lsn);
  values.acknowledge(positionOfLsn(5000n));
  expect(() => values.offer('commit', 4999n)).toThrow(defect);
  values.offer('commit', 5001n);
  expect(values.acknowledge(positionOfLsn(5001n))).toBe(true);
});

test.each([
  1n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x1_0000_0001n,
  0xffff_ffff_0000_0000n,
  0xffff_ffff_ffff_ffffn,
])('the driver sends exactly %s, across the border of its two halves', async (lsn) => {
  const service = new LogicalReplicationService({});
  const sent: Buffer[] = [];
  Object.assign(service, { _stop: false, _connection: { sendCopyFromChunk: (chunk: Buffer) => sent.push(chunk) } });
  await service.acknowledge(driverLsn(lsn));
  expect([1, 9, 17].map((at) => sent[0]?.readBigUInt64BE(at))).toEqual([lsn, lsn, lsn]);
});
