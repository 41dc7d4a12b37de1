import type { PipelineRecord, ServiceContext, Sink, Source, TableRecord } from '@nanosync/core';
import { countPartitions, followsChanges, PipelineError, readRecord, recordedTables, stateKeys } from '@nanosync/core';
import { comparable } from './comparable.ts';
import { Events } from './events.ts';
import type { Difference, TableVerified, VerifyLimits, VerifyProgress } from './ports.ts';
import { VERIFY_LIMITS } from './ports.ts';
import { verifyTable } from './verify-table.ts';

/** After so many rewrites or truncations under it a table is read in one transaction, which no later one disturbs. */
const REWRITES_BEFORE_WHOLE = 2;

/** What is asked of a comparison. */
export interface VerifyRequest {
  readonly pipeline: string;
  /** Only this table, as `schema.table`, or without its schema where that is clear. */
  readonly table: string | undefined;
  readonly limits: Partial<VerifyLimits>;
}

/** What came of a table: compared, or why not. */
export type TableOutcome =
  | (TableVerified & { readonly quarantined: number })
  | { readonly table: string; readonly outcome: 'not-compared'; readonly reason: string; readonly cure: string | null };

/** What a comparison says while it runs; one `end` comes last. */
export type VerifyEvent =
  | { readonly kind: 'note'; readonly says: string }
  | ({ readonly kind: 'progress'; readonly table: string } & VerifyProgress)
  | { readonly kind: 'difference'; readonly table: string; readonly difference: Difference }
  | ({ readonly kind: 'table' } & TableOutcome)
  | { readonly kind: 'end'; readonly outcome: TableOutcome['outcome']; readonly tables: number };

/** Worst last: what one table comes to is what all come to. */
const BY_WEIGHT = ['equal', 'undecided', 'not-compared', 'different'] as const;

/** Compares a pipeline's tables, one after the other. Writes nothing but watermark markers into the source's log. */
export async function* verifyPipeline(
  ctx: ServiceContext,
  { pipeline, table, limits }: VerifyRequest,
  signal: AbortSignal,
): AsyncGenerator<VerifyEvent> {
  const record = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline)))?.value;
  if (record === undefined) throw new PipelineError('config', `There is no pipeline ${pipeline}.`, { hint: 'See: nanosync status' });
  const tables = chosenTables(record, table);
  const asIs = limits.asIs === true || isCopy(record);
  if (isCopy(record) && limits.asIs !== true)
    yield { kind: 'note', says: `${pipeline} is copied once and then followed no more: what changed at the source since then differs.` };
  if (record.definition.replicationType === 'cdc')
    yield {
      kind: 'note',
      says: `${pipeline} copies no rows: those that the sink did not have when it began, and that did not change since, lack there.`,
    };
  if (!asIs) requireMoving(record);
  await using resources = new AsyncDisposableStack();
  const source = resources.use(await ctx.openSource(record.definition.source.connection));
  const sink = resources.use(await ctx.openSink(record.definition.sink.connection));
  let worst: TableOutcome['outcome'] = 'equal';
  for (const one of tables) {
    const says = missingNote(pipeline, (await readRecord<TableRecord>(ctx.state, stateKeys.table(pipeline, one)))?.value);
    if (says !== undefined) yield { kind: 'note', says };
    const events = new Events<VerifyEvent>();
    const work = { ctx, record, table: one, source, sink, limits: { ...VERIFY_LIMITS, ...limits, asIs } };
    for await (const event of events.during((left) => verifyOne({ ...work, signal: AbortSignal.any([signal, left]) }, events))) {
      if (event.kind === 'table' && BY_WEIGHT.indexOf(event.outcome) > BY_WEIGHT.indexOf(worst)) worst = event.outcome;
      yield event;
    }
  }
  yield { kind: 'end', outcome: worst, tables: tables.length };
}

interface Work {
  readonly ctx: ServiceContext;
  readonly record: PipelineRecord;
  readonly table: string;
  readonly source: Source;
  readonly sink: Sink;
  readonly limits: VerifyLimits;
  readonly signal: AbortSignal;
}

async function verifyOne(work: Work, events: Events<VerifyEvent>): Promise<void> {
  const { table, signal } = work;
  for (let rewrites = 0; ; rewrites++) {
    try {
      return await compare(work, events, rewrites >= REWRITES_BEFORE_WHOLE);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PipelineError) || error.kind === 'defect') throw error;
      if (isRewritten(error) && rewrites < REWRITES_BEFORE_WHOLE) continue;
      return events.put({ kind: 'table', table, outcome: 'not-compared', reason: error.message, cure: error.hint ?? null });
    }
  }
}

/** The reader found another file than when the table was looked at. A table that is no longer what was copied is said with a cure, and is no such case. */
function isRewritten(error: PipelineError): boolean {
  return error.kind === 'table-changed' && error.hint === undefined;
}

async function compare(
  { ctx, record, table, source, sink, limits, signal }: Work,
  events: Events<VerifyEvent>,
  whole: boolean,
): Promise<void> {
  const stored = (await readRecord<TableRecord>(ctx.state, stateKeys.table(record.definition.name, table)))?.value;
  const { compared, quarantined } = await comparable({ record, table, stored, source, sink });
  const result = await verifyTable({
    ports: { source, sink, clock: ctx.clock, signal },
    limits,
    table: { ...compared, whole },
    listener: {
      progress: (progress) => events.put({ kind: 'progress', table, ...progress }, `progress ${table}`),
      difference: (difference) => events.put({ kind: 'difference', table, difference }),
    },
  });
  events.put({ kind: 'table', ...result, quarantined });
}

/** Says of a table whose copy was stopped that rows are known to be missing. */
function missingNote(pipeline: string, record: TableRecord | undefined): string | undefined {
  const { missing, partitions } = record?.missing === undefined ? (record?.older ?? {}) : record;
  if (record === undefined || missing === undefined) return undefined;
  const rows = missing.length === 0 ? 'its rows' : `the rows of ${countPartitions(missing)} of ${partitions} partitions`;
  return `${record.table}: its copy was stopped, and ${rows} were not read: those that did not change since are missing. Run: nanosync pipeline resnapshot ${pipeline} --table ${record.table}`;
}

/** Its source is not followed (any more), so its sink cannot be brought level with it. */
function isCopy({ definition, phase }: PipelineRecord): boolean {
  return !followsChanges(definition) || phase === 'completed';
}

function chosenTables(record: PipelineRecord, table: string | undefined): readonly string[] {
  const { name, replicationType } = record.definition;
  if (replicationType === 'query')
    throw new PipelineError('prerequisite', `${name} writes the result of a query, which is no table of the source.`, {
      hint: 'Only tables are compared.',
    });
  const tables = recordedTables(record);
  if (tables.length === 0)
    throw new PipelineError('prerequisite', `${name} has no table at its sink yet.`, { hint: `Wait; see: nanosync status ${name}` });
  if (table === undefined) return tables;
  const found = tables.filter((one) => one === table || one.endsWith(`.${table}`));
  const exact = found.includes(table) ? [table] : found;
  if (exact.length === 1) return exact;
  throw new PipelineError('config', `${exact.length === 0 ? 'No table' : 'More than one table'} of ${name} is called ${table}.`, {
    hint: `Its tables: ${tables.slice(0, 20).join(', ')}${tables.length > 20 ? ' and others' : ''}.`,
  });
}

/** A pipeline that does not move would be waited for in vain. */
function requireMoving({ definition: { name }, phase, failure, intent, waiting }: PipelineRecord): void {
  const stands = (what: string, hint: string) =>
    new PipelineError('prerequisite', `${name} ${what}, so its sink cannot be brought level with the source.`, {
      hint: `${hint} With --as-is both sides are compared as they are, lag included.`,
    });
  if (phase === 'failed') throw stands('has failed', failure?.cure ?? `Run: nanosync pipeline resnapshot ${name}.`);
  if (intent.run === 'paused') throw stands('is paused', `Run: nanosync pipeline resume ${name}.`);
  if (intent.sink === 'paused') throw stands('has its sink paused', `Run: nanosync pipeline resume ${name} --sink.`);
  if (intent.deletion !== null) throw stands('is being deleted', 'Nothing needs to be done.');
  if (phase !== 'streaming' && phase !== 'snapshotting')
    throw stands(`is ${phase}${waiting === null ? '' : ` (${waiting})`}`, `Wait until nanosync status ${name} shows its tables as live.`);
}
