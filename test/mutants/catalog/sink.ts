import type { Mutant, NamedTest } from '../mutant.ts';

const DUCKDB = 'libs/sink-duckdb/src';
const MEMORY = 'libs/testkit/src';
const contract = (file: string, suite: string, title: string): NamedTest => ({
  project: 'unit',
  file,
  title,
  suite: `libs/testkit/src/sink-contract-${suite}.ts`,
});
const duckdb = (suite: string, title: string) => contract(`${DUCKDB}/duckdb-sink.test.ts`, suite, title);
const memory = (suite: string, title: string) => contract(`${MEMORY}/memory-sink.test.ts`, suite, title);

const MOVES_EXACTLY = 'moves exactly, under the last claimed token, or changes nothing';
const COMPLETE = 'a partition is complete when one attempt has its end marker, all its batches and all its rows';
const ONCE = 'makes one row a key, shows it under the name, and does it once';
const NO_NULL = 'quarantines what leaves cells out of a row that is not there, drops what is rowless, and never inserts NULL for it';

/** What breaks the promises of a sink, in DuckDB and in the one in memory that the simulation runs on. */
export const SINK_MUTANTS: readonly Mutant[] = [
  {
    name: 'duckdb-builds-what-is-not-complete',
    invariant: 'gate',
    does: 'DuckDB builds a table although partitions are missing.',
    file: `${DUCKDB}/build.ts`,
    find: '  checkComplete(id, partitions, request.partitions);\n',
    replace: '',
    test: duckdb('staging', 'refuses to build what is not complete'),
  },
  {
    name: 'memory-builds-what-is-not-complete',
    invariant: 'gate',
    does: 'The sink in memory builds a table although partitions are missing.',
    file: `${MEMORY}/memory-sink.ts`,
    find: 'if (complete.length !== request.partitions || complete.some((partition, index) => partition.partition !== index))',
    replace: 'if (complete.length > request.partitions)',
    test: memory('staging', 'refuses to build what is not complete'),
  },
  {
    name: 'duckdb-end-marker-ignored',
    invariant: 'one-build',
    does: 'DuckDB takes a partition for complete as soon as a batch of it is there.',
    file: `${DUCKDB}/stage.ts`,
    find: 'FROM (SELECT * FROM ${meta}.staged_ends WHERE ${whereGeneration(id)}) AS e',
    replace:
      'FROM (SELECT part, attempt, count(*) AS batches, sum(row_count) AS row_count, 0 AS quarantined, 0 AS seq FROM ${meta}.staged_batches WHERE ${whereGeneration(id)} GROUP BY part, attempt) AS e',
    test: duckdb('staging', COMPLETE),
  },
  {
    name: 'duckdb-end-marker-not-compared',
    invariant: 'one-build',
    does: 'DuckDB takes a partition for complete by its end marker, whatever of its batches is there.',
    file: `${DUCKDB}/stage.ts`,
    find: 'WHERE coalesce(b.batches, 0) = e.batches AND coalesce(b.last, -1) = e.batches - 1 AND coalesce(b.row_count, 0) = e.row_count',
    replace: '',
    test: duckdb('staging', COMPLETE),
  },
  {
    name: 'memory-end-marker-not-compared',
    invariant: 'one-build',
    does: 'The sink in memory takes a partition for complete by its end marker, whatever of its batches is there.',
    file: `${MEMORY}/memory-sink.ts`,
    find: 'if (!whole || own.reduce((sum, batch) => sum + batch.rows, 0) !== end.rows || complete.has(end.partition)) continue;',
    replace: 'if (complete.has(end.partition)) continue;',
    test: memory('staging', COMPLETE),
  },
  {
    name: 'duckdb-built-twice',
    invariant: 'one-build',
    does: 'DuckDB builds an epoch again that is built, out of staging that is gone.',
    file: `${DUCKDB}/build.ts`,
    find: "  if (known?.state === 'built') return { rows: Number(known.rows_built) };\n",
    replace:
      "  if (known?.state === 'built') {\n    await run(connection, `DROP TABLE ${meta}.${name(physicalName(id))}`);\n    return { rows: await fillPhysical(session, request, []) };\n  }\n",
    test: duckdb('staging', ONCE),
  },
  {
    name: 'memory-built-twice',
    invariant: 'one-build',
    does: 'The sink in memory builds an epoch again that is built, out of staging that is gone.',
    file: `${MEMORY}/memory-sink.ts`,
    find: '    if (epoch.generation !== undefined) return { rows: epoch.generation.rowsBuilt };\n',
    replace: '',
    test: memory('staging', ONCE),
  },
  {
    name: 'duckdb-all-attempts-built',
    invariant: 'one-build',
    does: 'DuckDB builds the rows of every attempt, also of one that died.',
    file: `${DUCKDB}/build.ts`,
    find: 'if (ledger?.wanted === ledger?.staged || partitions.length === 0) return stage;',
    replace: 'if (ledger !== undefined) return stage;',
    test: duckdb('staging', 'leaves out rows of attempts that are not the complete one'),
  },
  {
    name: 'duckdb-stages-for-a-built-epoch',
    invariant: 'one-build',
    does: 'DuckDB stages what a zombie sends for an epoch that is built.',
    file: `${DUCKDB}/stage.ts`,
    find: '    if (await isOver(session, epoch.id)) continue;\n',
    replace: '',
    test: duckdb('staging', 'ignores what still arrives for a built epoch, and its progress moves'),
  },
  {
    name: 'memory-stages-for-a-built-epoch',
    invariant: 'one-build',
    does: 'The sink in memory stages what a zombie sends for an epoch that is over.',
    file: `${MEMORY}/memory-tables.ts`,
    find: 'return epoch.gone || epoch.generation !== undefined;',
    replace: 'return epoch.gone && epoch.generation !== undefined;',
    test: memory('generations', 'a discarded epoch is gone for good, the current one stays'),
  },
  {
    name: 'null-for-what-is-left-out',
    invariant: 'complete-images',
    does: 'A change that lacks cells is inserted where there is no row to take them from.',
    file: 'libs/core/src/fold.ts',
    find: "      if (state !== 'row') needBase.push(change);\n",
    replace: '',
    test: duckdb('applying', NO_NULL),
  },
  {
    name: 'duckdb-progress-not-compared',
    invariant: 'progress-in-the-sink',
    does: 'DuckDB applies a batch whatever offsets it was read at.',
    file: `${DUCKDB}/apply.ts`,
    find: '       AND p.bus_partition = m.bus_partition AND p.next = m.next_from`,',
    replace: '       AND p.bus_partition = m.bus_partition`,',
    test: duckdb('applying', MOVES_EXACTLY),
  },
  {
    name: 'memory-progress-not-compared',
    invariant: 'progress-in-the-sink',
    does: 'The sink in memory applies a batch whatever offsets it was read at.',
    file: `${MEMORY}/memory-sink.ts`,
    find: 'request.moves.some((move) => generation.progress[move.busPartition]?.next !== move.from)',
    replace: 'request.moves.some((move) => generation.progress[move.busPartition] === undefined)',
    test: memory('applying', MOVES_EXACTLY),
  },
  {
    name: 'rows-go-back',
    invariant: 'progress-in-the-sink',
    does: 'A change is applied to a row that is newer.',
    file: 'libs/core/src/batch-rules.ts',
    find: 'key.changes.filter(({ event }) => comparePositions(event.position, base) > 0)',
    replace: 'key.changes',
    test: duckdb('applying', 'never goes back: a position that is not above the row is a counted defect'),
  },
  {
    name: 'no-truncation-floor',
    invariant: 'progress-in-the-sink',
    does: 'Changes from below a truncation that arrive behind it are applied.',
    file: 'libs/core/src/fold.ts',
    find: "if (event.op === 't' || (floor !== null && comparePositions(event.position, floor) < 0)) continue;",
    replace: "if (event.op === 't') continue;",
    test: duckdb('applying', 'a truncation deletes what is below it, also of the same batch, and voids what arrives later from below'),
  },
  {
    name: 'duckdb-owner-ignored',
    invariant: 'one-owner',
    does: 'DuckDB applies the batch of a writer that has lost the table.',
    file: `${DUCKDB}/apply.ts`,
    find: ' AND p.owner = ${text(request.owner)}',
    replace: '',
    test: duckdb('applying', MOVES_EXACTLY),
  },
  {
    name: 'duckdb-loader-ignored',
    invariant: 'one-owner',
    does: 'DuckDB stages the batch of a loader that has lost the rows.',
    file: `${DUCKDB}/stage.ts`,
    find: ' AND p.owner = ${text(request.owner)}',
    replace: '',
    test: duckdb('staging', MOVES_EXACTLY),
  },
  {
    name: 'memory-owner-ignored',
    invariant: 'one-owner',
    does: 'The sink in memory applies the batch of a writer that has lost the table.',
    file: `${MEMORY}/memory-sink.ts`,
    find: '      generation.owner !== request.owner ||\n',
    replace: '',
    test: memory('applying', MOVES_EXACTLY),
  },
  {
    name: 'memory-loader-ignored',
    invariant: 'one-owner',
    does: 'The sink in memory stages the batch of a loader that has lost the rows.',
    file: `${MEMORY}/memory-sink.ts`,
    find: 'loader?.owner !== request.owner ||',
    replace: 'loader === undefined ||',
    test: memory('staging', MOVES_EXACTLY),
  },
];
