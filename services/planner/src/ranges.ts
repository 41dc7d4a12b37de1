import type { PartitionRecord, PipelineRecord, ServiceContext, Source, Stored, TableRecord } from '@nanosync/core';
import { PipelineError, RECORD_VERSION, stateKeys, step, TABLE_MACHINE } from '@nanosync/core';

/** After this many rewrites a table is read as one range, which no rewrite can void. */
const VOIDS_BEFORE_WHOLE = 2;
/** Partition records written in one step. */
const LEDGER_CHUNK = 500;

interface Parts {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly source: Source;
  readonly waiting: (text: string | null) => Promise<void>;
}

/**
 * Gives `planned` tables their ranges. A later epoch first gets its generation marker; then one fence for all; only then are
 * ranges stored, and the table leaves `planned` last. Dying anywhere repeats all of it: a second generation marker of the same
 * epoch is ignored by capture, ranges of a table still `planned` were never handed out.
 */
export async function planRanges(parts: Parts & { readonly tables: readonly Stored<TableRecord>[] }): Promise<void> {
  const { ctx, pipeline, source, waiting, tables } = parts;
  const { name } = pipeline.definition;
  for (const { value } of tables)
    if (value.l0 === null) await source.mark({ kind: 'generation', pipeline: name, table: value.table, epoch: value.epoch });
  await source.fence({
    signal: ctx.signal,
    onWait: (waits) => {
      if (waits.length === 0) return; // Nobody is named yet, or the last one has just ended.
      const text = waits.map((wait) => `${wait.holder}, ${Math.round(wait.ageSeconds)} s; to end it: ${wait.cure}`).join('; ');
      ctx.log.warn('snapshot waits for open transactions', { pipeline: name, waits: text });
      waiting(`The snapshot waits for transactions that began before it: ${text}`).catch(() => undefined);
    },
  });
  if (ctx.signal.aborted) return;
  for (const stored of tables) await storeRanges(parts, stored);
}

async function storeRanges({ ctx, pipeline, source }: Parts, stored: Stored<TableRecord>): Promise<void> {
  const { name, snapshot } = pipeline.definition;
  const { table, epoch, schema, storage, estimatedRows, voids } = stored.value;
  const options = { targetRows: snapshot.targetRowsPerPartition, whole: voids >= VOIDS_BEFORE_WHOLE };
  const ranges = await source.partition({ schema, storage, estimatedRows }, options);
  for (const { key } of await ctx.state.list(stateKeys.partitions(name, table, epoch))) await ctx.state.remove(key);
  for (let from = 0; from < ranges.length; from += LEDGER_CHUNK) {
    const chunk = ranges.slice(from, from + LEDGER_CHUNK).map((range, index) => {
      const partition = from + index;
      return { key: stateKeys.partition(name, table, epoch, partition), value: plannedPartition(partition, range), expected: 0 };
    });
    if (!(await ctx.state.putAll(chunk))) throw new PipelineError('conflict', `Another planner is planning ${table}.`);
  }
  const phase = step(TABLE_MACHINE, stored.value.phase, 'ranges');
  const written = await ctx.state.put(stored.key, { ...stored.value, phase, partitions: ranges.length }, stored.version);
  if (written === undefined) throw new PipelineError('conflict', `Another planner changed table ${table} meanwhile.`);
  ctx.failpoint('plan-stored');
  ctx.log.info('snapshot planned', { table, partitions: ranges.length, rows: Math.round(estimatedRows) });
}

/**
 * Voids an epoch whose table was rewritten: ranges of another file cover nothing. The table starts again under a new epoch,
 * whose L0 is the place of its generation marker; changed columns need a person.
 */
export async function voidPlan(parts: Parts & { readonly stored: Stored<TableRecord>; readonly reason: string }): Promise<void> {
  const { ctx, source, stored, reason } = parts;
  const { table, schema } = stored.value;
  const [found] = await source.discover([table]);
  if (found === undefined) throw new PipelineError('table-changed', `Table ${table} is gone.`);
  if (JSON.stringify(found.schema) !== JSON.stringify(schema))
    throw new PipelineError('table-changed', `The columns of ${table} changed while it was being copied.`, {
      hint: `Run: nanosync pipeline resnapshot ${parts.pipeline.definition.name}`,
    });
  const next: TableRecord = {
    ...stored.value,
    phase: step(TABLE_MACHINE, stored.value.phase, 'void'),
    epoch: ctx.ids.next(),
    storage: found.storage,
    estimatedRows: found.estimatedRows,
    l0: null,
    l1Requested: false,
    partitions: 0,
    voids: stored.value.voids + 1,
  };
  await ctx.state.put(stored.key, next, stored.version);
  ctx.log.warn('snapshot plan void', { table, reason, voids: next.voids });
}

function plannedPartition(partition: number, range: string): PartitionRecord {
  return {
    v: RECORD_VERSION,
    partition,
    range,
    phase: 'planned',
    emitted: false,
    attempt: null,
    attempts: 0,
    rows: 0,
    bytes: 0,
    voided: null,
  };
}
