import type { GenerationId, QueryMode, QueryRecord, Stored, TableId, TableRecord } from '@nanosync/core';
import {
  isKind,
  leaseNames,
  leftGeneration,
  PipelineError,
  positionOf,
  readRecord,
  sameSchema,
  stateKeys,
  withLease,
} from '@nanosync/core';
import type { TableWork } from './table-writer.ts';

/** How often it is looked whether a result is complete, or a run has begun, where the sink does not say it. In milliseconds. */
const LOOK_EVERY_MS = 100;

/** Rows of a query lie nowhere in a log. */
const NOWHERE = positionOf(0n, 0n);

/** A run as the table's writer sees it. */
interface Result {
  readonly generation: GenerationId;
  readonly table: TableRecord;
  readonly mode: QueryMode;
}

/**
 * Owns the table of a query at the sink: waits until the result of the run under way is complete there, and writes it in one step, by key or in place of all
 * rows. Whether that was done is known from the sink alone, so whoever comes after a crash, or comes late, changes nothing more.
 */
export async function runResultWriter(work: TableWork): Promise<void> {
  const { ctx, pipeline, table } = work;
  const write = async (_: string, signal: AbortSignal) => {
    const owned = { ...work, ctx: { ...ctx, signal } };
    let ended: string | undefined;
    while (!signal.aborted) {
      const result = await resultOf(owned);
      if (result === undefined || result.table.epoch === ended) {
        await work.report.flush();
        await ctx.clock.sleep(LOOK_EVERY_MS, signal);
        continue;
      }
      if (await writeResult(owned, result)) ended = result.table.epoch;
    }
  };
  await withLease(ctx, leaseNames.table(pipeline.definition.name, table), write, work.wanted);
}

/** The run under way on this table, or the one that was the last. */
async function resultOf({ ctx, pipeline, table }: TableWork): Promise<Result | undefined> {
  const { name } = pipeline.definition;
  const record = await readRecord<TableRecord>(ctx.state, stateKeys.table(name, table));
  const runs: Stored<QueryRecord> | undefined = await readRecord<QueryRecord>(ctx.state, stateKeys.query(name));
  const run = runs?.value.run;
  if (record === undefined || record.value.anchor !== pipeline.anchor?.id || record.value.partitions === 0) return undefined;
  if (run === undefined || run === null || run.epoch !== record.value.epoch) return undefined;
  return { generation: { pipeline: name, table: table as TableId, epoch: run.epoch }, table: record.value, mode: run.mode };
}

/** Brings one run to its end at the sink and reports it. False when it was given up, or the signal aborted, before that. */
async function writeResult(work: TableWork, result: Result): Promise<boolean> {
  const { ctx, sink, report } = work;
  const { generation } = result;
  await report.begin(generation.epoch);
  try {
    if ((await sink.generation(generation))?.current !== true) {
      const outcome = await writeWhenComplete(work, result);
      if (outcome !== 'written') return outcome === 'refused';
    }
  } catch (error) {
    if (!isKind(error, 'table-changed') || ctx.signal.aborted) throw error;
    await report.fail({ reason: error.message, cure: error.hint ?? anew(generation) });
    return true;
  }
  const status = await sink.generation(generation);
  if (status?.current !== true) return false;
  ctx.failpoint('query-result-written');
  const { rowsBuilt, quarantined } = status;
  await report.set({ built: true, rowsBuilt, rowsStaged: rowsBuilt, quarantined, partitionsDurable: result.table.partitions }, true);
  ctx.log.info('result written', { table: generation.table, rows: rowsBuilt, mode: result.mode });
  return true;
}

function anew({ pipeline }: GenerationId): string {
  return `Run: nanosync pipeline resnapshot ${pipeline}`;
}

/** `over`: the run was given up, or the signal aborted, before the result was whole. */
type Written = 'written' | 'refused' | 'over';

/** Waits for the whole result, then writes it. */
async function writeWhenComplete(work: TableWork, result: Result): Promise<Written> {
  const { ctx, sink, report } = work;
  const { generation, table } = result;
  while (!ctx.signal.aborted) {
    const held = await sink.generations(generation.pipeline, generation.table);
    if ((await resultOf(work))?.table.epoch !== generation.epoch) return 'over';
    const staged = await sink.staged(generation);
    await report.set({ rowsStaged: staged.reduce((sum, { rows }) => sum + rows, 0), partitionsDurable: staged.length });
    // Invariant 'gate': a half result is never written, and here alone a whole one is.
    if (staged.length === table.partitions) {
      // What earlier runs left is given up first: none of it may be written after this.
      const own = [generation.epoch, leftGeneration(generation).epoch];
      for (const { epoch, current } of held) if (!own.includes(epoch) && !current) await sink.discard({ ...generation, epoch });
      return write(
        work,
        result,
        held.some(({ current }) => current),
      );
    }
    await ctx.clock.sleep(sink.pace?.lookEveryMs ?? LOOK_EVERY_MS, ctx.signal);
  }
  return 'over';
}

async function write(work: TableWork, { generation, table, mode }: Result, isThere: boolean): Promise<Written> {
  const { sink, pipeline } = work;
  const { schema, partitions } = table;
  if (schema.key.length > 0) {
    const refused = refusalOf(schema.key, await sink.keyFaults({ generation, schema, partitions }));
    if (refused !== undefined) {
      await work.report.fail(refused);
      return 'refused';
    }
  }
  if (mode === 'merge' && (isThere || (await beginWithLeft(work, { generation, table, mode })))) {
    await sink.merge({ generation, schema, partitions, l0: NOWHERE });
    return 'written';
  }
  await sink.build({ generation, anchor: pipeline.anchor?.id ?? '', schema, partitions, l0: NOWHERE, topicId: '', start: [] });
  await sink.switchTo(generation);
  return 'written';
}

/**
 * Makes what a deleted pipeline left under the table's name a generation of this one, so that what was gathered stays; false where nothing was left. Users see
 * the same rows before and after, so that it may be done long before the result is written, or for a run that is given up.
 */
async function beginWithLeft({ sink, pipeline }: TableWork, { generation, table: { schema } }: Result): Promise<boolean> {
  const [left] = await sink.left([generation.table]);
  if (left === undefined) return false;
  if (!sameSchema(left.schema, schema))
    throw new PipelineError(
      'table-changed',
      `the rows of ${generation.table} that pipeline ${left.pipeline} left have other columns, or another key, than the result.`,
      { hint: `Write the table anew, without them: nanosync pipeline resnapshot ${generation.pipeline}` },
    );
  await sink.adopt({
    generation: leftGeneration(generation),
    anchor: pipeline.anchor?.id ?? '',
    schema,
    l0: NOWHERE,
    topicId: '',
    start: [],
  });
  return true;
}

/** Why a result cannot be written by key; numbers and names, no values. */
function refusalOf(key: readonly string[], { nulls, doubled }: { readonly nulls: number; readonly doubled: number }) {
  const columns = key.join(', ');
  if (nulls > 0)
    return {
      reason: `${nulls === 1 ? '1 row of the result has' : `${nulls} rows of the result have`} no value in the key (${columns}), so nothing of it was written.`,
      cure: 'Leave them out with WHERE ... IS NOT NULL, or fill them with coalesce.',
    };
  if (doubled > 0)
    return {
      reason: `${doubled === 1 ? `1 key (${columns}) stands` : `${doubled} keys (${columns}) stand`} in several rows of the result, so nothing of it was written.`,
      cure: 'Group the query by its key, or name more columns as key.',
    };
  return undefined;
}
