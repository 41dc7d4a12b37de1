import fc from 'fast-check';
import { expect, test } from 'vitest';
import { publicationName, slotName, slotPattern } from './names.ts';

const ID = '0123456789abcdef';

test('a plain name stays readable as it is', () => {
  expect(slotName('orders_2', ID)).toBe(`nanosync_slot_orders_2_${ID}`);
  expect(publicationName('orders_2')).toBe('nanosync_pub_orders_2');
});

test('each anchor has a slot of its own, whatever its id looks like', () => {
  const ids = [ID, 'fedcba9876543210', 'Fedcba9876543210', 'anchor 1', 'anchor 2', ''];
  expect(new Set(ids.map((id) => slotName('p', id))).size).toBe(ids.length);
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
  expect(new Set(names.map((name) => slotName(name, ID))).size).toBe(names.length);
});

test('every name is one that a slot may have, and one by which its pipeline knows it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 }), fc.string(), (pipeline, id) => {
      for (const name of [slotName(pipeline, id), publicationName(pipeline)]) expect(name).toMatch(/^[a-z0-9_]{1,63}$/);
      expect(slotName(pipeline, id)).toMatch(new RegExp(slotPattern(pipeline)));
    }),
  );
});

test('a pipeline knows the slots of all its anchors, also of those that had the one name, and no other pipeline\u2019s', () => {
  const own = new RegExp(slotPattern('orders'));
  for (const name of [slotName('orders', ID), slotName('orders', 'x'), 'nanosync_slot_orders']) expect(name).toMatch(own);
  for (const name of ['orders_2', 'order', 'orders-2', 'orders_0123456789abcdef']) expect(slotName(name, ID)).not.toMatch(own);
  expect('nanosync_slot_orders_pipeline_5076b226').toMatch(new RegExp(slotPattern('orders-pipeline')));
});

test('no plain name is another one hashed', () => {
  const hashed = slotName('orders-pipeline', ID).slice('nanosync_slot_'.length, -ID.length - 1);
  expect(slotName(hashed, ID)).not.toBe(slotName('orders-pipeline', ID));
});

test('no slot of a pipeline is taken for another one\u2019s, also where a name ends like a slot', () => {
  const names = [
    'orders',
    `orders_${ID}`,
    `orders_${ID}_${ID}`,
    'orders_5076b226',
    'orders-pipeline',
    `orders_pipeline_${ID}`,
    'x'.repeat(60),
  ];
  for (const one of names)
    for (const other of names.filter((name) => name !== one)) expect(slotName(one, ID)).not.toMatch(new RegExp(slotPattern(other)));
  expect(publicationName(`orders_${ID}`)).toBe(`nanosync_pub_orders_${ID}`);
});
