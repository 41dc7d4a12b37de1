import type { FenceWait, PipelineRecord, ServiceContext, Source, SourceTable, TableId, TableRecord } from '@nanosync/core';
import {
  describeError,
  followsChanges,
  isKind,
  PipelineError,
  readRecord,
  sourceUseOf,
  stateKeys,
  tablesToAdd,
  takesInAlike,
} from '@nanosync/core';
import { createTopics, putTables } from './anchoring.ts';
import { plannedTable } from './planned-table.ts';
import { WaitLog, waitText } from './wait-text.ts';

/** What tables are added with. */
export interface AddingParts {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly source: Source;
  /** Epochs that this planner chose and under which no ranges were stored yet. */
  readonly fresh: Set<string>;
  readonly waiting: (text: string | null) => Promise<void>;
}

/**
 * Takes the tables in that came to the definition of a pipeline that is anchored, while its other tables go on: each is checked as at the
 * beginning; topics; the source streams them; then their records, `planned` and without L0, in one write with the pipeline's. From there a
 * table goes the way of any later epoch: its marker, a fence, ranges. Nothing before that write binds anybody, so dying anywhere, and a second
 * planner at the same time, cost a repetition. `tell` hears what keeps tables from being added, with its cure, before the others are waited for and
 * at the end; those tables stay out of the others' way.
 */
export async function addTables(parts: AddingParts, tell: (unmet: PipelineError | undefined) => void): Promise<void> {
  const fit: TableId[] = [];
  const shown = new Set<TableId>();
  const unmet: PipelineError[] = [];
  for (const table of tablesToAdd(parts.pipeline) as readonly TableId[]) {
    const error = await errorOf(() => requireFit(parts, table, shown));
    if (error === undefined) fit.push(table);
    else unmet.push(notYet(table, error));
  }
  if (unmet.length > 0) tell(joined(unmet));
  if (fit.length > 0 && !parts.ctx.signal.aborted) unmet.push(...(await takeAllIn({ ...parts, shown }, fit)));
  tell(joined(unmet));
}

interface TakingParts extends AddingParts {
  /** Tables under whose names the sink shows something. */
  readonly shown: ReadonlySet<TableId>;
}

/** All at once, behind one fence. Where that is refused one of them may be locked, or gone since it was checked: then each by itself. */
async function takeAllIn(parts: TakingParts, tables: readonly TableId[]): Promise<readonly PipelineError[]> {
  const refused = await errorOf(() => takeIn(parts, tables));
  if (refused === undefined) return [];
  if (refused.kind === 'unavailable' || tables.length === 1) return [refused];
  const unmet: PipelineError[] = [];
  for (const table of tables) {
    if (parts.ctx.signal.aborted) break;
    const error = await errorOf(() => takeIn(parts, [table]));
    if (error !== undefined) unmet.push(notYet(table, error));
  }
  return unmet;
}

function notYet(table: TableId, error: PipelineError): PipelineError {
  return new PipelineError(error.kind, `Table ${table} cannot be added yet: ${error.message}`, hintOf(error));
}

/** The error of something that may be cured outside; whatever else it throws goes on. */
async function errorOf(work: () => Promise<void>): Promise<PipelineError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (isKind(error, 'unavailable', 'conflict', 'prerequisite', 'config')) return error;
    throw error;
  }
}

async function requireFit({ ctx, pipeline, source }: AddingParts, table: TableId, shown: Set<TableId>): Promise<void> {
  const {
    name,
    source: { columns },
    sink: sinkDefinition,
  } = pipeline.definition;
  const unfit = await source.check(name, [table], { columns, use: sourceUseOf(pipeline.definition) });
  const schemas = unfit.length > 0 ? [] : (await source.discover([table], columns)).map(({ schema }) => schema);
  await using sink = await ctx.openSink(sinkDefinition.connection);
  const problems = [...unfit, ...(await sink.check(name, [table], schemas, pipeline.definition.replicationType === 'cdc'))];
  if (problems.length > 0)
    throw new PipelineError('prerequisite', problems.map(({ what }) => what).join(' '), {
      hint: problems.map(({ cure }) => cure).join(' '),
    });
  if (await sink.shows(table)) shown.add(table);
}

async function takeIn({ ctx, pipeline, source, fresh, waiting, shown }: TakingParts, tables: readonly TableId[]): Promise<void> {
  const { name } = pipeline.definition;
  const { anchor } = pipeline;
  if (anchor === null) throw new PipelineError('defect', `A table is added to pipeline ${name}, which has no anchor.`);
  const log = new WaitLog(ctx);
  const onWait = (waits: readonly FenceWait[]) => {
    if (waits.length === 0) return;
    log.warn('added table waits for open transactions', { pipeline: name, table: tables.join() }, waits);
    waiting(`Adding ${tables.join(', ')} waits for transactions that began before: ${waitText(waits)}`).catch(() => undefined);
  };
  const follows = followsChanges(pipeline.definition);
  // Invariant 'anchor-first': the source streams a table before anything of it is marked or read.
  if (follows) await source.extend(name, tables, { signal: ctx.signal, onWait });
  await waiting(null);
  ctx.failpoint('tables-extended');
  // Only now: what it was like before nobody was told to follow it.
  const found: readonly SourceTable[] = await source.discover(tables, pipeline.definition.source.columns);
  const busPartitions = await createTopics(ctx, name, follows ? found : []);
  const adopts = pipeline.definition.replicationType === 'cdc';
  const records = found.map((table) =>
    plannedTable(ctx, { anchor, l0: null, table, busPartitions, adopts, replaces: shown.has(table.schema.table) }),
  );
  await storeAdded(ctx, pipeline, records);
  for (const { epoch, table } of records) {
    fresh.add(epoch);
    ctx.log.info('table taken in', { pipeline: name, table });
  }
  ctx.failpoint('tables-added');
}

/** The pipeline's record changes meanwhile with what it waits for; what must not have changed is what the records were made for. */
async function storeAdded(ctx: ServiceContext, pipeline: PipelineRecord, records: readonly TableRecord[]): Promise<void> {
  const { name } = pipeline.definition;
  for (;;) {
    const stored = await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(name));
    if (stored === undefined || !isStillWanted(stored.value, pipeline, records))
      throw new PipelineError('conflict', `Another process changed pipeline ${name} meanwhile.`);
    const recorded = [...(stored.value.recorded ?? []), ...records.map(({ table }) => table)];
    if (await putTables(ctx, { ...stored, value: { ...stored.value, recorded } }, records)) return;
  }
}

/** Transactions may have been waited for since the records were made, for hours: so long the file can say otherwise. */
function isStillWanted(now: PipelineRecord, before: PipelineRecord, records: readonly TableRecord[]): boolean {
  const wanted = tablesToAdd(now);
  const isAsked = now.anchor?.id === before.anchor?.id && records.every(({ table }) => wanted.includes(table));
  return isAsked && takesInAlike(now.definition, before.definition);
}

function joined(errors: readonly PipelineError[]): PipelineError | undefined {
  const [first, ...others] = errors;
  if (first === undefined || others.length === 0) return first;
  const kind = errors.find(({ retry }) => retry !== 'timed')?.kind ?? first.kind;
  return new PipelineError(kind, errors.map(describeError).join(' '));
}

function hintOf({ hint }: PipelineError): { readonly hint?: string } {
  return hint === undefined ? {} : { hint };
}
