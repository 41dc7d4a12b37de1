import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import type { NamedTest } from './mutant.ts';
import { mutated, titlePattern } from './mutant.ts';
import type { Report } from './report.ts';
import { outcomeOf } from './report.ts';
import { copyWorkspace } from './workspace-copy.ts';

const ROOT = realpathSync(dirname(dirname(import.meta.dirname)));
const NAMED: NamedTest = { project: 'unit', file: 'libs/x/src/a.test.ts', title: 'a %s ends (at once)' };

function reportOf(
  results: readonly { readonly title: string; readonly status: string; readonly failure?: string }[],
  message = '',
): Report {
  const assertionResults = results.map(({ title, status, failure }) => ({
    title,
    status,
    failureMessages: failure === undefined ? [] : [failure],
  }));
  return { testResults: [{ name: `/copy/${NAMED.file}`, message, assertionResults }] };
}

test('a mutant is put where its text stands once, and nowhere else', () => {
  expect(mutated('a b c', { find: 'b', replace: 'x' })).toBe('a x c');
  expect(mutated('a b c', { find: 'b', replace: '$&' })).toBe('a $& c');
  expect(mutated('a b c', { find: 'b', replace: 'x', also: { find: 'c', replace: 'y' } })).toBe('a x y');
  for (const stale of [
    { find: 'z', replace: '' },
    { find: ' ', replace: '' },
    { find: 'b', replace: 'b' },
  ])
    expect(mutated('a b c', stale)).toBeUndefined();
  expect(mutated('a b c', { find: 'b', replace: 'x', also: { find: 'z', replace: '' } })).toBeUndefined();
});

test('a title finds the tests that were made of it', () => {
  const pattern = new RegExp(`^${titlePattern('a %s of ${name} costs 1+1 (or $more)')}$`);
  expect('a b of c costs 1+1 (or 2)').toMatch(pattern);
  expect('a b of c costs 11 (or 2)').not.toMatch(pattern);
});

test('a failed assertion or a caught error of the named test is what counts', () => {
  const passed = { title: 'a send ends (at once)', status: 'passed' };
  expect(outcomeOf(reportOf([passed]), NAMED).kind).toBe('passed');
  const failed = { title: 'a read ends (at once)', status: 'failed', failure: 'AssertionError: expected 1 to be 2\n at x' };
  expect(outcomeOf(reportOf([passed, failed]), NAMED)).toEqual({ kind: 'failed', why: 'AssertionError: expected 1 to be 2' });
});

test.each([
  ['another test that failed', reportOf([{ title: 'another', status: 'failed', failure: 'AssertionError' }])],
  ['a test that was skipped', reportOf([{ title: 'a send ends (at once)', status: 'skipped' }])],
  ['a file that does not load', reportOf([], 'SyntaxError: Unexpected token')],
  ['a file that did not run', { testResults: [] }],
  [
    'a mutant that is no program',
    reportOf([{ title: 'a send ends (at once)', status: 'failed', failure: 'ReferenceError: x is not defined' }]),
  ],
  ['a test that timed out', reportOf([{ title: 'a send ends (at once)', status: 'failed', failure: 'Error: Test timed out in 20000ms.' }])],
])('%s says nothing', (_, report) => {
  expect(outcomeOf(report, NAMED).kind).toBe('nothing');
});

test('a copy of the workspace stands on its own: our packages lead into it, the others to those that are installed', () => {
  const copy = copyWorkspace(ROOT);
  const at = (path: string) => realpathSync(join(copy.root, path));
  const file = 'libs/core/src/position.ts';
  expect(at('node_modules/@nanosync/core')).toBe(at('libs/core'));
  expect(at('node_modules/vitest')).toBe(realpathSync(join(ROOT, 'node_modules/vitest')));
  const before = copy.read(file);
  {
    using _ = copy.write(file, 'mutant');
    expect(copy.read(file)).toBe('mutant');
  }
  expect(copy.read(file)).toBe(before);
  expect(readFileSync(join(ROOT, file), 'utf8')).toBe(before);
  copy[Symbol.dispose]();
  expect(existsSync(copy.root)).toBe(false);
});
