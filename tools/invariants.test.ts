import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { INVARIANTS } from '@nanosync/core';
import { expect, it } from 'vitest';
import { marksIn } from './invariant-marks.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PAGE = read('docs/invariants.md');
const marks = globSync('{libs,services}/*/src/**/*.ts', { cwd: ROOT }).flatMap((path) => marksIn(path, read(path)));
const names = INVARIANTS.map(({ name }) => name);

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

it('numbers the invariants from 1 and names each once', () => {
  expect(INVARIANTS.map(({ number }) => number)).toEqual(INVARIANTS.map((_, index) => index + 1));
  expect(new Set(names).size).toBe(names.length);
});

it.each(INVARIANTS)('says where the code upholds $name', ({ name }) => {
  expect(marks.filter((mark) => mark.name === name)).not.toEqual([]);
});

it('marks nothing that is no invariant', () => {
  expect(marks.filter((mark) => !names.includes(mark.name as (typeof names)[number]))).toEqual([]);
});

it.each(INVARIANTS)('explains $name in the words of the code, in docs/invariants.md', ({ number, name, rule }) => {
  const sections = PAGE.split(/^## /m).map((section) => section.replaceAll('`', '').replace(/\s+/g, ' '));
  const section = sections.find((one) => one.startsWith(`${number}. `));
  expect(section).toContain(` ${name}: ${rule}`);
});
