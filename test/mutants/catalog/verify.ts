import type { Mutant, NamedTest } from '../mutant.ts';

const VERIFY = 'libs/api/src/verify';
const MEANWHILE: NamedTest = {
  project: 'unit',
  file: `${VERIFY}/verify-table.test.ts`,
  title: 'whatever changes meanwhile, what was spoiled is found, and nothing else is said to differ',
};

/** What would make a comparison say that something differs which only lags. */
export const VERIFY_MUTANTS: readonly Mutant[] = [
  {
    name: 'verify-does-not-wait',
    invariant: 'no-silent-gap',
    does: 'A comparison reads the sink before that has applied what the source showed.',
    file: `${VERIFY}/settle.ts`,
    find: '  await waitUntilApplied(parts);\n',
    replace: '',
    test: MEANWHILE,
  },
  {
    name: 'verify-takes-equal-rows-for-the-same',
    invariant: 'no-silent-gap',
    does: 'A row that was there twice is taken for one that was not written in between.',
    file: `${VERIFY}/settle.ts`,
    find: 'return source.version === now.version;',
    replace: 'return true;',
    test: MEANWHILE,
  },
  {
    name: 'verify-takes-every-extra-row-for-old',
    invariant: 'no-silent-gap',
    does: 'A row at the sink whose key the source lacked twice is taken for one too many, although it came and went in between.',
    file: `${VERIFY}/settle.ts`,
    find: 'return sink.every(({ position }) => position === null || comparePositions(position, before) < 0);',
    replace: 'return before !== undefined;',
    test: MEANWHILE,
  },
  {
    name: 'verify-without-the-second-fence',
    invariant: 'visibility-fence',
    does: 'A row that the sink has and the source does not show yet is taken for a difference.',
    file: `${VERIFY}/settle.ts`,
    find: 'seen.length === 0 || fence.held !== undefined ? fence : await passFenceInTime(parts)',
    replace: 'fence',
    test: MEANWHILE,
  },
  {
    name: 'duckdb-reads-row-numbers-upwards',
    invariant: 'no-silent-gap',
    does: 'A comparison reads DuckDB from the first row number on, and misses rows that a checkpoint moved to lower ones.',
    file: 'libs/sink-duckdb/src/scan.ts',
    find: 'for (let at = last - ROWS_AT_ONCE; at >= 0; at -= ROWS_AT_ONCE) yield',
    replace: 'for (let at = 0; at < last; at += ROWS_AT_ONCE) yield',
    test: {
      project: 'unit',
      file: 'libs/sink-duckdb/src/scan.test.ts',
      title: 'no row that stays is missed while others are deleted and a checkpoint moves those behind them',
    },
  },
];
