import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { INVARIANTS } from '@nanosync/core';
import { describe, expect, it } from 'vitest';
import { CATALOG } from '../test/mutants/catalog.ts';
import { isSimulated, mutated } from '../test/mutants/mutant.ts';
import { marksIn } from './invariant-marks.ts';
import { unknownTests } from './quoted-tests.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

it('has a mutant for every invariant, each under a name of its own', () => {
  const broken = new Set(CATALOG.map(({ invariant }) => invariant));
  expect(INVARIANTS.map(({ name }) => name).filter((name) => !broken.has(name))).toEqual([]);
  const names = CATALOG.map(({ name }) => name);
  expect(names.filter((name, at) => names.indexOf(name) !== at || !/^[a-z0-9-]+$/.test(name))).toEqual([]);
});

it('has no stale mutant: what each one replaces stands in the code exactly once', () => {
  const stale = CATALOG.filter((mutant) => !existsSync(join(ROOT, mutant.file)) || mutated(read(mutant.file), mutant) === undefined);
  expect(stale.map(({ name, file }) => `${name} in ${file}`)).toEqual([]);
});

it('mutates no test', () => {
  expect(CATALOG.filter(({ file }) => /\.test\.ts$|-contract|sink-property/.test(file))).toEqual([]);
});

it('names tests that exist, in files that run in the project named', () => {
  const named = CATALOG.flatMap(({ test }) => (isSimulated(test) ? [] : [test]));
  expect(
    unknownTests(
      read,
      named.map(({ file, suite, title }) => ({ path: suite ?? file, name: title })),
    ),
  ).toEqual([]);
  const suffix = { unit: /^[^.]+\.test\.ts$/, pg: /^[^.]+\.pg\.test\.ts$/, cluster: /^[^.]+\.cluster\.test\.ts$/ };
  expect(
    named.filter(({ project, file }) => !suffix[project].test(file.slice(file.lastIndexOf('/') + 1)) || !existsSync(join(ROOT, file))),
  ).toEqual([]);
});

describe.each(INVARIANTS)('the table of docs/invariants.md, row $number', ({ number, name }) => {
  const page = read('docs/invariants.md');
  const row = page.split('\n').find((line) => line.startsWith(`| [${number}](`)) ?? '';
  const [rule = '', where = '', test = '', mutant = '', without = ''] = row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, ''));
  const mutants = CATALOG.filter(({ invariant }) => invariant === name);
  const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text as string);

  it('has the name, and leads to the section', () => {
    const section = page.split(/^## /m).find((text) => text.startsWith(`${number}. `)) ?? '';
    const anchor = section
      .slice(0, section.indexOf('\n'))
      .toLowerCase()
      .replace(/[^a-z0-9 ]/g, '')
      .replaceAll(' ', '-');
    expect(rule).toBe(`[${number}](#${anchor}) \`${name}\``);
    expect(without).toBe(/^Without it: (.+)\.$/m.exec(section)?.[1]);
  });

  it('says where the code marks it', () => {
    for (const path of quoted(where)) expect(marksIn(path, read(path)).map((mark) => mark.name)).toContain(name);
    expect(quoted(where)).not.toEqual([]);
  });

  it('names mutants of it, and a test that one of them must fail', () => {
    const named = mutants.filter((one) => quoted(mutant).includes(one.name));
    expect(named.map((one) => one.name).sort()).toEqual([...quoted(mutant)].sort());
    const tests = named.flatMap(({ test: one }) => (isSimulated(one) ? [] : [`\`${one.suite ?? one.file}\`: ${one.title}`]));
    expect(tests).toContain(test);
  });
});
