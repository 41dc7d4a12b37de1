import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeTopicPart, topicsOf } from './topics.ts';

test('topics are named after pipeline and table', () => {
  const topics = topicsOf();
  expect(topics.tasks).toBe('nanosync.tasks');
  expect(topics.rows('orders')).toBe('nanosync.orders.rows');
  expect(topics.changes('orders-pipeline', 'public.items')).toBe('nanosync.orders-pipeline.public.items.changes');
});

test('distinct names stay distinct, and Kafka does not confuse them', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
      const [left, right] = [escapeTopicPart(a), escapeTopicPart(b)];
      expect(left === right).toBe(a === b);
      expect(left).toMatch(/^[A-Za-z0-9-]*$/);
    }),
    { numRuns: 2000 },
  );
  expect(escapeTopicPart('a_b')).not.toBe(escapeTopicPart('a.b'));
});
