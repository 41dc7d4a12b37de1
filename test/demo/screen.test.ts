import { expect, test } from 'vitest';
import { wrapped } from './screen.ts';

test('a long line goes on below its own text, and is cut at blanks', () => {
  const text = '          changes waited on the bus for their tables to be built';
  expect(wrapped(text, 40).split('\n')).toEqual(['          changes waited on the bus for', '          their tables to be built']);
  expect(wrapped('          │ INF snapshot in progress table=public.orders', 40).split('\n')).toEqual([
    '          │ INF snapshot in progress',
    '            table=public.orders',
  ]);
  expect(wrapped('   1.1 s  3. Copy it into DuckDB while others write', 40).split('\n')).toEqual([
    '   1.1 s  3. Copy it into DuckDB while',
    '          others write',
  ]);
});

test('a line that fits, or cannot be cut, stays as it is', () => {
  expect(wrapped('          short', 40)).toBe('          short');
  expect(wrapped(`          ${'x'.repeat(60)}`, 40)).toBe(`          ${'x'.repeat(60)}`);
});
