import type {
  Failure,
  GenerationId,
  PartitionRecord,
  PipelineRecord,
  QueryOutcome,
  QueryRecord,
  QueryRun,
  ServiceContext,
  Sink,
  Stored,
  TableRecord,
} from '@nanosync/core';
import { leftGeneration, listRecords, readRecord, stateKeys } from '@nanosync/core';
import { changed } from './query-record.ts';

/** A run that is over, as its writer, its reader or the state store say. */
export interface Over {
  readonly pipeline: PipelineRecord;
  readonly runs: Stored<QueryRecord>;
  readonly run: QueryRun;
  /** Null: its result was written. */
  readonly failure: Failure | null;
}

/**
 * Ends a run: stores how it went, and takes away what was kept for it. One that failed is given up at the sink before that, so that nothing of it can be
 * written any more; where it was written after all, it went well. Why it failed is stored first, as it is read from what goes then: dying anywhere
 * costs a repetition for the same reason.
 */
export async function endRun(ctx: ServiceContext, over: Over, sink: Sink): Promise<void> {
  const { pipeline, run } = over;
  const { name } = pipeline.definition;
  const failure = run.failure ?? over.failure;
  const runs = failure === null || run.failure !== undefined ? over.runs : await givenUp(ctx, over, failure);
  const generation: GenerationId = { pipeline: name, table: run.table, epoch: run.epoch };
  // Before the rows go: a partition that is read and nowhere would be taken for lost.
  await forgetPartitions(ctx, name);
  // What its writer would begin with rows that were left goes first: taken up late it would take the name from a later result.
  if (failure !== null && (pipeline.definition.query?.key.length ?? 0) > 0) await sink.discard(leftGeneration(generation));
  if (failure !== null) await sink.discard(generation);
  const status = await sink.generation(generation);
  const isWritten = status?.current === true;
  const lost = { reason: 'The sink does not have the result any more.', cure: `Run: nanosync pipeline run ${name}` };
  const last: QueryOutcome = {
    startedMs: run.startedMs,
    endedMs: ctx.clock.nowMs(),
    rows: isWritten ? status.rowsBuilt : 0,
    quarantined: isWritten ? status.quarantined : 0,
    failure: isWritten ? null : (failure ?? lost),
  };
  await store(ctx, { ...over, runs }, last);
  ctx.failpoint('query-run-ended');
  const seconds = (last.endedMs - last.startedMs) / 1000;
  if (last.failure === null) ctx.log.info('query run ended', { pipeline: name, table: run.table, rows: last.rows, seconds });
  else ctx.log.warn('query run failed', { pipeline: name, table: run.table, ...last.failure });
  await forgetTables(ctx, pipeline, run);
}

async function givenUp(ctx: ServiceContext, { pipeline, runs, run }: Over, failure: Failure): Promise<Stored<QueryRecord>> {
  const value = { ...runs.value, run: { ...run, failure } };
  const version = await ctx.state.put(runs.key, value, runs.version);
  if (version === undefined) throw changed(pipeline.definition.name);
  return { ...runs, value, version };
}

async function store(ctx: ServiceContext, { pipeline, runs, run }: Over, last: QueryOutcome): Promise<void> {
  const { name } = pipeline.definition;
  const table = await readRecord<TableRecord>(ctx.state, stateKeys.table(name, run.table));
  const isOfRun = table?.value.epoch === run.epoch;
  const writtenKey = last.failure === null && isOfRun ? table.value.schema.key : runs.value.writtenKey;
  const entries: { key: string; value: unknown; expected: number }[] = [
    { key: runs.key, value: { ...runs.value, run: null, last, writtenKey }, expected: runs.version },
  ];
  const ended = last.failure === null ? { phase: 'built' } : { phase: 'planned', partitions: 0 };
  if (isOfRun) entries.push({ key: table.key, value: { ...table.value, ...ended }, expected: table.version });
  if (!(await ctx.state.putAll(entries))) throw changed(name);
}

async function forgetPartitions(ctx: ServiceContext, pipeline: string): Promise<void> {
  const partitions = await listRecords<PartitionRecord>(ctx.state, stateKeys.partitionsOf(pipeline));
  for (const { key } of partitions) await ctx.state.remove(key);
}

/** The records of a table that the pipeline wrote under another name, and that stays at the sink as it is. */
async function forgetTables(ctx: ServiceContext, { definition: { name } }: PipelineRecord, { table }: QueryRun): Promise<void> {
  for (const { key, value } of await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))) {
    if (value.table === table) continue;
    await ctx.state.remove(key);
    await ctx.state.remove(stateKeys.sinkReport(name, value.table));
  }
}
