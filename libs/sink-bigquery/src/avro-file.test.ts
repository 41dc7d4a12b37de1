import type { TableSchema } from '@nanosync/core';
import { ORDERS, order, rowBatchOf } from '@nanosync/testkit';
import avsc from 'avsc';
import { expect, test } from 'vitest';
import { avroFile, stagingAvro } from './avro-file.ts';

test('blocks are put into a container as they came, byte for byte', () => {
  const schema: TableSchema = {
    table: 'public.t' as TableSchema['table'],
    columns: [{ name: 'a b', type: { kind: 'text' } }],
    key: ['a b'],
  };
  const pieces = avroFile(
    stagingAvro(schema),
    'null',
    [
      { rows: 2, bytes: Buffer.from('rows') },
      { rows: 300, bytes: Buffer.from('more') },
    ],
    'job',
  );
  const header =
    '{"type":"record","name":"Row","fields":[{"name":"_nanosync_partition","type":"int"},{"name":"_nanosync_attempt","type":"string"},' +
    '{"name":"c0","type":["null","bytes"],"default":null}]}';
  const file = Buffer.concat(pieces);
  const text = file.toString('latin1');
  expect(text.startsWith('Obj\x01\x04\x16avro.schema')).toBe(true);
  expect(text).toContain(header);
  expect(text).toContain('\x14avro.codec\x08null\x00');
  const marker = file.subarray(file.length - 16);
  const headerEnd = file.indexOf(marker) + 16;
  // Each block: records (2, 300), bytes (4), the bytes themselves, the marker.
  expect(file.subarray(headerEnd).toString('hex')).toBe(
    `0408${Buffer.from('rows').toString('hex')}${marker.toString('hex')}d80408${Buffer.from('more').toString('hex')}${marker.toString('hex')}`,
  );
});

test('another implementation of Avro reads the file', async () => {
  const rows = [order(1), [2n, null, null, null, null], order(3)];
  const names = { epoch: 'e1', partition: 7, attempt: 'a1', batch: 0 };
  const blocks = [0, 1].map((at) => {
    const { batch } = rowBatchOf(ORDERS, at === 0 ? rows.slice(0, 2) : rows.slice(2), { ...names, codec: 'null' });
    return { rows: batch.rows, bytes: batch.block };
  });
  const decoder = new avsc.streams.BlockDecoder();
  const read: unknown[] = [];
  decoder.on('data', (row: unknown) => read.push(JSON.parse(JSON.stringify(row))));
  const ended = new Promise((resolve, reject) => decoder.on('end', resolve).on('error', reject));
  decoder.end(Buffer.concat(avroFile(stagingAvro(ORDERS), 'null', blocks, 'job')));
  await ended;
  expect(read).toHaveLength(3);
  expect(read[1]).toEqual({ _nanosync_partition: 7, _nanosync_attempt: 'a1', c0: 2, c1: null, c2: null, c3: null, c4: null });
  expect(read[0]).toMatchObject({ c0: 1, c4: false });
});
