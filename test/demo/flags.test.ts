import { expect, test } from 'vitest';
import { DEMO_FLAGS } from './demo-options.ts';
import { readFlags } from './flags.ts';

const read = (...args: string[]) => readFlags(DEMO_FLAGS, args);

test('flags have defaults and are read in both spellings', () => {
  expect(read()).toMatchObject({ rows: 500_000, seconds: 5, 'no-crash': false, keep: false, json: false });
  expect(read('--rows', '2000', '--seconds=0', '--no-crash', '--json')).toMatchObject({
    rows: 2000,
    seconds: 0,
    'no-crash': true,
    json: true,
  });
});

test('what cannot be understood is answered in one sentence', () => {
  expect(() => read('--row', '5000')).toThrow(
    'There is no flag "--row"; the flags are --rows, --seconds, --no-crash, --clustered, --keep, --json, --help.',
  );
  expect(() => read('--rows', 'many')).toThrow('--rows takes a whole number from 1000 to 50000000, not "many".');
  expect(() => read('--rows', '12')).toThrow('not "12"');
  expect(() => read('--rows')).toThrow('not ""');
  expect(() => read('--seconds', '-1')).toThrow('--seconds takes a whole number');
  expect(() => read('--json=yes')).toThrow('--json takes no value.');
  expect(() => read('now')).toThrow('There is nothing to do with "now"');
  expect(() => read('--json', '5')).toThrow('There is nothing to do with "5"');
  expect(() => read('-x')).toThrow('There is no flag "-x"');
  expect(() => read('--', 'x')).toThrow('There is nothing to do with');
});
