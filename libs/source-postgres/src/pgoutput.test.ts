import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodePgoutput } from './pgoutput.ts';

const u8 = (value: number) => Buffer.from([value]);
const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
const u64 = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value));
  return bytes;
};
const text = (value: string) => Buffer.from(`${value}\0`);
const tuple = (...cells: (string | null | undefined)[]) =>
  Buffer.concat([
    u16(cells.length),
    ...cells.map((cell) =>
      cell === null
        ? Buffer.from('n')
        : cell === undefined
          ? Buffer.from('u')
          : Buffer.concat([Buffer.from('t'), u32(cell.length), Buffer.from(cell)]),
    ),
  ]);

function decode(...parts: (string | Buffer)[]): unknown {
  const message = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  // In the midst of other bytes, as in a page.
  const bytes = Buffer.concat([Buffer.from('###'), message, Buffer.from('###')]);
  return decodePgoutput(bytes, 3, 3 + message.length);
}

test('begin and commit carry the commit LSN, the time and the transaction', () => {
  expect(decode('B', u64(0xffff_ffff_0000_0001n), u64(1_000_500n), u32(0xffff_fff0))).toEqual({
    kind: 'begin',
    commitLsn: 0xffff_ffff_0000_0001n,
    commitMs: 946_684_801_000,
    xid: 0xffff_fff0,
  });
  expect(decode('C', u8(0), u64(5n), u64(9n), u64(-1n))).toEqual({
    kind: 'commit',
    commitLsn: 5n,
    endLsn: 9n,
    commitMs: 946_684_799_999,
  });
});

test('a relation has its columns, types and key', () => {
  const columns = [u8(1), text('id'), u32(23), u32(0xffff_ffff), u8(0), text('ä'), u32(4_000_000_000), u32(786_438)];
  expect(decode('R', u32(4_294_967_295), text(''), text('t'), 'd', u16(2), ...columns)).toEqual({
    kind: 'relation',
    oid: 4_294_967_295,
    namespace: 'pg_catalog',
    name: 't',
    replicaIdentity: 'd',
    columns: [
      { name: 'id', typeOid: 23, typmod: -1, key: true },
      { name: 'ä', typeOid: 4_000_000_000, typmod: 786_438, key: false },
    ],
  });
});

test('row changes point at their tuples', () => {
  expect(decode('I', u32(7), 'N', tuple('1'))).toEqual({ kind: 'insert', oid: 7, newAt: 9 });
  expect(decode('U', u32(7), 'N', tuple('1'))).toEqual({ kind: 'update', oid: 7, old: null, oldAt: -1, newAt: 9 });
  const old = tuple('1', null, undefined);
  expect(decode('U', u32(7), 'K', old, 'N', tuple('2'))).toEqual({ kind: 'update', oid: 7, old: 'K', oldAt: 9, newAt: 10 + old.length });
  expect(decode('U', u32(7), 'O', old, 'N', tuple('2'))).toMatchObject({ old: 'O' });
  expect(decode('D', u32(7), 'K', tuple('1'))).toEqual({ kind: 'delete', oid: 7, old: 'K', oldAt: 9 });
});

test('the rarer messages', () => {
  expect(decode('T', u32(2), u8(3), u32(1), u32(2))).toEqual({ kind: 'truncate', oids: [1, 2], cascade: true, restartIdentity: true });
  expect(decode('M', u8(1), u64(8n), text('nanosync'), u32(2), 'hi')).toEqual({
    kind: 'message',
    transactional: true,
    lsn: 8n,
    prefix: 'nanosync',
    content: Buffer.from('hi'),
  });
  expect(decode('O', u64(8n), text('there'))).toEqual({ kind: 'origin', lsn: 8n, name: 'there' });
  expect(decode('Y', u32(9), text('public'), text('mood'))).toEqual({ kind: 'type', oid: 9, namespace: 'public', name: 'mood' });
});

test('what is none of protocol 1, or ends early, is refused', () => {
  expect(() => decode('S', u32(1))).toThrow(RangeError);
  expect(() => decode('I', u32(7), 'K', tuple('1'))).toThrow(RangeError);
  expect(() => decode('U', u32(7), 'X', tuple('1'))).toThrow(RangeError);
  expect(() => decode('T', u32(9), u8(0), u32(1))).toThrow(RangeError);
  expect(() => decode('M', u8(1), u64(8n), text('nanosync'), u32(200), 'hi')).toThrow(RangeError);
});

test('arbitrary bytes are decoded or refused, nothing else', () => {
  fc.assert(
    fc.property(fc.constantFrom(...'BCRIUDTMOY'), fc.uint8Array({ maxLength: 60 }), (kind, bytes) => {
      try {
        decode(kind, Buffer.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
  );
});
