import { expect, test } from 'vitest';
import type { Page } from './byte-queue.ts';
import { ByteQueue, DATA_ENTRY, KEEPALIVE_ENTRY, readEntries } from './byte-queue.ts';

function drain(queue: ByteQueue): string[] {
  const entries: string[] = [];
  for (let page = queue.take(); page !== undefined; page = queue.take()) {
    entries.push(...texts(page));
    queue.release(page);
  }
  return entries;
}

function texts(page: Page): string[] {
  const entries: string[] = [];
  readEntries(page, 0, (tag, start, end) => {
    entries.push(`${tag}${page.bytes.toString('latin1', start, end)}`);
    return false;
  });
  return entries;
}

test('entries come out as they went in, although the source buffer is used again', () => {
  const queue = new ByteQueue();
  const source = Buffer.alloc(1);
  const expected: string[] = [];
  for (let round = 0; round < 200_000; round++) {
    source[0] = 65 + (round % 26);
    queue.push(DATA_ENTRY, source);
    expected.push(`0${source.toString()}`);
  }
  expect(drain(queue)).toEqual(expected);
  expect(queue.bytes).toBe(0);
});

test('an entry larger than a page gets its own', () => {
  const queue = new ByteQueue();
  const large = Buffer.alloc(3_000_000, 'x');
  for (const entry of [Buffer.from('a'), large, Buffer.from('b')]) queue.push(DATA_ENTRY, entry);
  expect(queue.bytes).toBe(3_000_002 + 15);
  expect(drain(queue)).toEqual(['0a', `0${large}`, '0b']);
});

test('keepalives that follow one another are one, and never pass a message', () => {
  const queue = new ByteQueue();
  for (const [tag, text] of [
    [KEEPALIVE_ENTRY, '1'],
    [KEEPALIVE_ENTRY, '2'],
    [DATA_ENTRY, 'x'],
    [KEEPALIVE_ENTRY, '3'],
    [KEEPALIVE_ENTRY, '4'],
  ] as const)
    queue.push(tag, Buffer.from(text));
  expect(drain(queue)).toEqual(['12', '0x', '14']);
  queue.push(KEEPALIVE_ENTRY, Buffer.from('5'));
  expect(drain(queue)).toEqual(['15']);
});

test('reading stops where it is told to and goes on from there', () => {
  const queue = new ByteQueue();
  for (const text of ['a', 'b', 'c']) queue.push(DATA_ENTRY, Buffer.from(text));
  const page = queue.take() as Page;
  const seen: number[] = [];
  const at = readEntries(page, 0, (_, start) => seen.push(page.bytes[start] as number) === 2);
  readEntries(page, at, (_, start) => seen.push(page.bytes[start] as number) === 0);
  expect(Buffer.from(seen).toString()).toBe('abc');
});
