import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const plain = (name: string) => name.toLowerCase().replaceAll(/[-_.]+/g, '-');

test('every pinned package of the emulator is locked at its version, with hashes', () => {
  const pins = [...read('bigquery-requirements.txt').matchAll(/^([\w.-]+)==(\S+)$/gm)].map(([, name = '', version = '']) => [
    plain(name),
    version,
  ]);
  const locked = new Map(
    [...read('bigquery-requirements.lock.txt').matchAll(/^([\w.-]+)==(\S+) \\\n {4}--hash=sha256:[0-9a-f]{64}/gm)].map(
      ([, name = '', version = '']) => [plain(name), version],
    ),
  );
  expect(pins.length).toBeGreaterThan(60);
  expect(pins.map(([name = '']) => [name, locked.get(name)])).toEqual(pins);
});
