import type { Mutant, NamedTest } from '../mutant.ts';

const PLANNER = 'services/planner/src';
const WRITER = 'services/sink-writer/src';
const planner = (title: string): NamedTest => ({ project: 'unit', file: `${PLANNER}/query-planner.test.ts`, title });
const writer = (title: string): NamedTest => ({ project: 'unit', file: `${WRITER}/result-writer.test.ts`, title });
const duckdb = (title: string): NamedTest => ({
  project: 'unit',
  file: 'libs/sink-duckdb/src/duckdb-sink.test.ts',
  title,
  suite: 'libs/testkit/src/sink-contract-results.ts',
});

/** What breaks the promises of a query's runs: one at a time, whole or not at all, written once. */
export const QUERY_MUTANTS: readonly Mutant[] = [
  {
    name: 'query-runs-overlap',
    invariant: 'one-owner',
    does: 'A run of a query begins while one is under way.',
    file: `${PLANNER}/query-planner.ts`,
    find: 'if (run !== null) return this.follow(pipeline, runs, run);',
    replace: 'if (run !== null && dueMs > this.ctx.clock.nowMs()) return this.follow(pipeline, runs, run);',
    test: planner('not while a run is under way: its times pass, and one run makes up for them'),
  },
  {
    name: 'query-begun-over-another',
    invariant: 'one-owner',
    does: 'A planner begins a run over one that another planner began since it read the records.',
    file: `${PLANNER}/query-begin.ts`,
    find: '  const written = await ctx.state.putAll([\n',
    replace: `  const newest = async (key: string, none = 0) => (await ctx.state.get(key))?.version ?? none;
  Object.assign(runs, { version: await newest(runs.key) });
  Object.assign(stored, { version: await newest(stored.key) });
  const written = await ctx.state.putAll([\n`,
    test: planner('is begun by one of two planners'),
  },
  {
    name: 'query-failure-not-given-up',
    invariant: 'one-build',
    does: 'A run is stored as failed while a writer may still write its result, over that of a later run.',
    file: `${PLANNER}/query-end.ts`,
    find: '  if (failure !== null) await sink.discard(generation);\n',
    replace: '',
    test: planner('that failed is given up at the sink before that is stored: nothing of it can be written later'),
  },
  {
    name: 'query-failure-believed',
    invariant: 'progress-in-the-sink',
    does: 'A run that the sink has written counts as failed, since somebody said so.',
    file: `${PLANNER}/query-end.ts`,
    find: 'const isWritten = status?.current === true;',
    replace: 'const isWritten = failure === null && status?.current === true;',
    test: planner('that was written after all went well'),
  },
  {
    name: 'half-result-written',
    invariant: 'gate',
    does: 'A result is written before all of it is there.',
    file: `${WRITER}/result-writer.ts`,
    find: 'if (staged.length === table.partitions) {',
    replace: 'if (staged.length <= table.partitions) {',
    test: writer('a result is written when all of it is there, and not before'),
  },
  {
    name: 'result-of-doubled-keys-written',
    invariant: 'one-build',
    does: 'Of two rows of a result with one key any is taken.',
    file: `${WRITER}/result-writer.ts`,
    find: 'if (refused !== undefined) {',
    replace: "if (refused?.reason === '') {",
    test: writer('a result with two rows of a key, or without one, is refused as a whole, in numbers alone'),
  },
  {
    name: 'earlier-result-not-given-up',
    invariant: 'one-build',
    does: 'What an earlier run left in staging may be written over a later result.',
    file: `${WRITER}/result-writer.ts`,
    find: 'if (!own.includes(epoch) && !current) await sink.discard',
    replace: "if (epoch === '' && !current) await sink.discard",
    test: writer('what an earlier run left is given up before a later one is written'),
  },
  {
    name: 'duckdb-merge-not-noted',
    invariant: 'one-build',
    does: 'DuckDB forgets that an epoch was merged, and whoever asks again cannot know.',
    file: 'libs/sink-duckdb/src/merge.ts',
    find: "'merged', '', ''",
    replace: "'gone', '', ''",
    test: duckdb('is done once for an epoch: asked for again, also after a later one, it changes nothing'),
  },
  {
    name: 'duckdb-merges-what-was-given-up',
    invariant: 'one-build',
    does: 'DuckDB merges an epoch that was given up, as far as it is still there.',
    file: 'libs/sink-duckdb/src/merge.ts',
    find: 'if (known !== undefined) throw givenUp(id);',
    replace: 'if (known === null) throw givenUp(id);',
    test: duckdb('of an epoch that was given up is refused, and what is merged is not given up'),
  },
  {
    name: 'duckdb-gives-up-what-is-merged',
    invariant: 'one-build',
    does: 'DuckDB forgets a merge when the epoch is given up, so that a run counts as failed whose rows users see.',
    file: 'libs/sink-duckdb/src/generations.ts',
    find: " || row?.state === 'merged') return;",
    replace: ') return;',
    test: duckdb('of an epoch that was given up is refused, and what is merged is not given up'),
  },
  {
    name: 'failed-run-without-its-reason',
    invariant: 'no-silent-gap',
    does: 'Why a run failed is stored with its end alone, when what it was read from is gone.',
    file: `${PLANNER}/query-end.ts`,
    find: 'failure === null || run.failure !== undefined ? over.runs',
    replace: 'failure === null || failure !== undefined ? over.runs',
    test: planner('that failed has failed for the same reason when its planner dies before that is stored'),
  },
  {
    name: 'query-drops-what-was-left',
    invariant: 'one-build',
    does: 'The first result of a query with a key takes the place of the rows that a deleted pipeline left, and what was gathered goes.',
    file: 'services/sink-writer/src/result-writer.ts',
    find: ' || (await beginWithLeft(work, { generation, table, mode }))',
    replace: '',
    test: {
      project: 'unit',
      file: 'services/sink-writer/src/result-writer.test.ts',
      title: 'goes on with the rows that a deleted pipeline left, and drops what it has begun of that in no repetition',
    },
  },
  {
    name: 'failed-run-may-begin-with-what-was-left',
    invariant: 'one-build',
    does: 'A writer that was stopped in a run which was given up may still take the name with the rows that a deleted pipeline left.',
    file: `${PLANNER}/query-end.ts`,
    find: 'await sink.discard(leftGeneration(generation));',
    replace: 'await sink.discard(generation);',
    test: planner('that failed is given up at the sink before that is stored: nothing of it can be written later'),
  },
];
