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

test('the longest names of a database fit, and stay distinct', () => {
  const topics = topicsOf();
  const long = (last: string) => `${'_'.repeat(63)}.${'_'.repeat(62)}${last}`;
  const names = [topics.changes('p', long('a')), topics.changes('p', long('b')), topics.changes(`${'p_'.repeat(40)}`, long('a'))];
  for (const name of names) {
    expect(name.length).toBeLessThanOrEqual(249);
    expect(name).toMatch(/^[A-Za-z0-9.-]*\.changes$/);
  }
  expect(new Set(names).size).toBe(3);
  expect(topics.changes('p', long('a'))).toBe(names[0]);
});
