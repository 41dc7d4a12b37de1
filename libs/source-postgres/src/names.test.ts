import fc from 'fast-check';
import { expect, test } from 'vitest';
import { publicationName, slotName } from './names.ts';

test('a plain name stays readable as it is', () => {
  expect(slotName('orders_2')).toBe('nanosync_slot_orders_2');
  expect(publicationName('orders_2')).toBe('nanosync_pub_orders_2');
});

test('names that PostgreSQL does not take, or would fold together, get a hash', () => {
  const names = [
    'orders-pipeline',
    'orders_pipeline',
    'Orders_pipeline',
    'orders.pipeline',
    'ordérs',
    'x'.repeat(60),
    `${'x'.repeat(60)}y`,
  ];
  expect(new Set(names.map(slotName)).size).toBe(names.length);
});

test('every name is one that a slot may have', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 }), (pipeline) => {
      for (const name of [slotName(pipeline), publicationName(pipeline)]) expect(name).toMatch(/^[a-z0-9_]{1,63}$/);
    }),
  );
});

test('no plain name is another one hashed', () => {
  const hashed = slotName('orders-pipeline').slice('nanosync_slot_'.length);
  expect(slotName(hashed)).not.toBe(slotName('orders-pipeline'));
});
