import type {
  PipelineRecord,
  QueryDefinition,
  QueryMode,
  QueryRecord,
  ServiceContext,
  Sink,
  Source,
  SourceTable,
  Stored,
  TableRecord,
} from '@nanosync/core';
import { isKind, PipelineError, RECORD_VERSION, resultSchema, stateKeys } from '@nanosync/core';
import { nextTimeMs } from '@nanosync/runtime';
import { changed, NOWHERE } from './query-record.ts';
import { plannedPartition } from './ranges.ts';

/** What a run is begun for. */
export interface Due {
  readonly stored: Stored<PipelineRecord>;
  readonly runs: Stored<QueryRecord>;
  readonly query: QueryDefinition;
}

/**
 * Begins a run: what the statement yields is asked first; then the run, its epoch and its one partition are stored in one write, against the versions that
 * were read, and only then is anything done. A statement that cannot be run, or whose result cannot be written, is a run that failed; a database that is away is
 * waited for by the caller.
 */
export async function beginRun(ctx: ServiceContext, due: Due, at: { readonly source: Source; readonly sink: Sink }): Promise<void> {
  const { stored, runs, query } = due;
  const { name } = stored.value.definition;
  const startedMs = ctx.clock.nowMs();
  const dueMs = nextTimeMs(query.schedule, startedMs);
  let found: SourceTable;
  try {
    found = await resultOf(due, at);
  } catch (error) {
    if (!isKind(error, 'prerequisite', 'config', 'table-changed')) throw error;
    const failure = { reason: error.message, cure: error.hint ?? 'Correct the query.' };
    const last = { startedMs, endedMs: ctx.clock.nowMs(), rows: 0, quarantined: 0, failure };
    if ((await ctx.state.put(runs.key, { ...runs.value, asked: null, dueMs, last }, runs.version)) === undefined) throw changed(name);
    ctx.log.warn('query cannot be run', { pipeline: name, ...failure });
    return;
  }
  const table = tableRecordOf(ctx, stored.value, found);
  const mode = modeOf(runs.value, query);
  const run = { epoch: table.epoch, table: table.table, mode, startedMs };
  const before = await ctx.state.get(stateKeys.table(name, table.table));
  // One write: of two planners one begins the run, and a definition or an anchor that was changed meanwhile has none.
  const written = await ctx.state.putAll([
    { key: runs.key, value: { ...runs.value, asked: null, dueMs, run }, expected: runs.version },
    { key: stored.key, value: stored.value, expected: stored.version },
    { key: stateKeys.table(name, table.table), value: table, expected: before?.version ?? 0 },
    { key: stateKeys.partition(name, table.table, table.epoch, 0), value: plannedPartition(0, query.statement), expected: 0 },
  ]);
  if (!written) throw changed(name);
  ctx.failpoint('query-run-stored');
  ctx.log.info('query run begins', { pipeline: name, table: table.table, mode });
}

/** The result as a table, which neither source nor sink have anything against. */
async function resultOf({ stored, query }: Due, { source, sink }: { readonly source: Source; readonly sink: Sink }): Promise<SourceTable> {
  const { name, source: from } = stored.value.definition;
  if (source.queries === undefined) throw new PipelineError('config', `The source ${from.connection.name} runs no queries.`);
  const { columns, storage } = await source.queries.describe(query.statement);
  const schema = resultSchema(query, columns);
  const problems = await sink.check(name, [schema.table], [schema]);
  if (problems.length > 0)
    throw new PipelineError('prerequisite', problems.map(({ what }) => what).join(' '), {
      hint: problems.map(({ cure }) => cure).join(' '),
    });
  return { schema, storage, estimatedRows: 0 };
}

/** Rows that were written by another key cannot be told apart by this one: they are replaced. */
function modeOf({ asked, writtenKey }: QueryRecord, { key }: QueryDefinition): QueryMode {
  if (asked === 'replace' || key.length === 0) return 'replace';
  return writtenKey === null || JSON.stringify(writtenKey) === JSON.stringify(key) ? 'merge' : 'replace';
}

function tableRecordOf(ctx: ServiceContext, { anchor }: PipelineRecord, { schema, storage }: SourceTable): TableRecord {
  return {
    ...{ v: RECORD_VERSION, table: schema.table, phase: 'snapshotting', anchor: anchor?.id ?? '', epoch: ctx.ids.next(), schema, storage },
    ...{ l0: NOWHERE, l1Requested: false, partitions: 1, voids: 0, estimatedRows: 0, busPartitions: 0, failure: null, older: null },
  };
}
