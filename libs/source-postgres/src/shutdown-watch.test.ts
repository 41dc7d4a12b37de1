import { expect, test } from 'vitest';
import { ShutdownWatch } from './shutdown-watch.ts';

function ask(watch: ShutdownWatch, from: number, until: number, every: number): boolean {
  let late = false;
  for (let now = from; now <= until; now += every) late ||= watch.asked(now);
  return late;
}

test('only a server that asks urgently for long, without progress, is shutting down', () => {
  expect(ask(new ShutdownWatch(), 0, 600_000, 500)).toBe(false);
  expect(ask(new ShutdownWatch(), 0, 9_000, 1)).toBe(false);
  expect(ask(new ShutdownWatch(), 0, 10_100, 50)).toBe(true);
  const watch = new ShutdownWatch();
  expect(ask(watch, 0, 9_000, 1)).toBe(false);
  watch.progressed();
  expect(ask(watch, 9_001, 18_000, 1)).toBe(false);
});
