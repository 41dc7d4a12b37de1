import type { PartitionRecord, PipelineRecord, ServiceContext, Source, Stored, TableRecord } from '@nanosync/core';
import { PipelineError, RECORD_VERSION, readRecord, stateKeys, step, TABLE_MACHINE, takesInAlike } from '@nanosync/core';
import { captureOf } from './capture-view.ts';
import { WaitLog, waitText } from './wait-text.ts';

/** After this many rewrites a table is read as one range, which no rewrite can void. */
const VOIDS_BEFORE_WHOLE = 2;
/** Partition records written in one step. */
const LEDGER_CHUNK = 500;

/** What planning works with. */
interface Parts {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly source: Source;
  /** Epochs that this planner chose and under which no ranges were stored yet. */
  readonly fresh: Set<string>;
  readonly waiting: (text: string | null) => Promise<void>;
}

/**
 * Gives `planned` tables their ranges. A later epoch first gets its generation marker; then one fence for all; only then are
 * ranges stored, and the table leaves `planned` last. Ranges are stored once under an epoch, by the planner that chose it: two plans of
 * one epoch could cover the table differently, and rows between them would be read by nobody. See {@link renewEpoch}.
 */
export async function planRanges(parts: Parts & { readonly tables: readonly Stored<TableRecord>[] }): Promise<void> {
  const { ctx, pipeline, source, waiting, tables } = parts;
  const { name } = pipeline.definition;
  if (!(await isPastLoss(parts))) return;
  // Invariant 'anchor-first': a later epoch's L0 is in the log before anything is read under it.
  for (const { value } of tables)
    if (value.l0 === null) await source.mark({ kind: 'generation', pipeline: name, table: value.table, epoch: value.epoch });
  const log = new WaitLog(ctx);
  // Invariant 'visibility-fence': ranges, and with them reads, come after it. Where nothing is read, what is not yet visible is only older.
  if (tables.some(({ value }) => value.adopts !== true))
    await source.fence({
      signal: ctx.signal,
      onWait: (waits) => {
        if (waits.length === 0) return; // Nobody is named yet, or the last one has just ended.
        const text = waitText(waits);
        log.warn('snapshot waits for open transactions', { pipeline: name, table: tables.map(({ value }) => value.table).join() }, waits);
        waiting(`The snapshot waits for transactions that began before it: ${text}`).catch(() => undefined);
      },
    });
  if (ctx.signal.aborted) return;
  await requireAlike(parts);
  for (const stored of tables) {
    parts.fresh.delete(stored.value.epoch);
    await storeRanges(parts, stored);
  }
}

/**
 * From its marker on a table counts in transactions. A store that lost its newest writes, and with them the table, would let a later session number what
 * is published already without it: so the marker of a table that capture has never met is written once its record is older than that. False when
 * the signal aborted first.
 */
export async function isPastLoss({ ctx, pipeline, tables }: Parts & { readonly tables: readonly Stored<TableRecord>[] }): Promise<boolean> {
  const { mayLoseMs = 0 } = ctx.state;
  if (mayLoseMs === 0) return true;
  const met = (await captureOf(ctx, pipeline.definition.name, pipeline))?.tables ?? {};
  // Invariant 'gapless-sessions': what counts in a transaction is settled before any of it is published.
  if (tables.some(({ value }) => value.l0 === null && met[value.table] === undefined)) await ctx.clock.sleep(mayLoseMs, ctx.signal);
  return !ctx.signal.aborted;
}

/** Transactions were waited for, maybe for hours: what the file keeps back by now leaves the source in no range, as none was handed out yet. */
async function requireAlike({ ctx, pipeline: { definition } }: Parts): Promise<void> {
  const now = await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(definition.name));
  if (now !== undefined && !takesInAlike(now.value.definition, definition))
    throw new PipelineError('conflict', `Another process changed pipeline ${definition.name} meanwhile.`);
}

/**
 * Gives a `planned` table an epoch of this planner's own when it has another's: an earlier planner died on the way, another one is at it,
 * or the state store forgot that its ranges were already handed out. Then batches of that epoch may be about, of ranges that nobody
 * knows any more. The new epoch's L0 is the place of its marker.
 */
export async function renewEpoch({ ctx, fresh }: Parts, stored: Stored<TableRecord>): Promise<Stored<TableRecord>> {
  // Nothing is read under an epoch that adopts; another one would leave out what came between the two.
  if (fresh.has(stored.value.epoch) || stored.value.adopts === true) return stored;
  const epoch = ctx.ids.next();
  const { view: _, ...table } = stored.value;
  const value: TableRecord = { ...table, epoch, l0: null, l1Requested: false, partitions: 0 };
  const version = await ctx.state.put(stored.key, value, stored.version);
  if (version === undefined) throw new PipelineError('conflict', `Another planner changed table ${stored.value.table} meanwhile.`);
  fresh.add(epoch);
  return { ...stored, value, version };
}

/** Stores a table's ranges under its epoch, and then the table as given. Once an epoch: see {@link renewEpoch}. */
export async function storeRanges({ ctx, pipeline, source }: Parts, stored: Stored<TableRecord>): Promise<void> {
  const { name, snapshot } = pipeline.definition;
  const { table, epoch, schema, storage, estimatedRows, voids } = stored.value;
  const options = { targetRows: snapshot.targetRowsPerPartition, whole: voids >= VOIDS_BEFORE_WHOLE };
  const ranges = stored.value.adopts === true ? [] : await source.partition({ schema, storage, estimatedRows }, options);
  for (let from = 0; from < ranges.length; from += LEDGER_CHUNK) {
    const chunk = ranges.slice(from, from + LEDGER_CHUNK).map((range, index) => {
      const partition = from + index;
      return { key: stateKeys.partition(name, table, epoch, partition), value: plannedPartition(partition, range), expected: 0 };
    });
    if (!(await ctx.state.putAll(chunk))) throw new PipelineError('conflict', `Another planner is planning ${table}.`);
  }
  const phase = step(TABLE_MACHINE, stored.value.phase, 'ranges');
  const written = await ctx.state.put(stored.key, { ...stored.value, phase, partitions: ranges.length }, stored.version);
  if (written === undefined) {
    // Of a table that is gone nothing is to stay; of one that is not, the epoch is another by now.
    if ((await ctx.state.get(stored.key)) === undefined)
      for (const partition of ranges.keys()) await ctx.state.remove(stateKeys.partition(name, table, epoch, partition));
    throw new PipelineError('conflict', `Another planner changed table ${table} meanwhile.`);
  }
  ctx.failpoint('plan-stored');
  if (stored.value.adopts === true) ctx.log.info('table follows without a copy', { table });
  else ctx.log.info('snapshot planned', { table, partitions: ranges.length, rows: Math.round(estimatedRows) });
}

/**
 * Voids an epoch whose table was rewritten: ranges of another file cover nothing. The table starts again under a new epoch,
 * whose L0 is the place of its generation marker; changed columns need a person. `voids`: how many then count, where the table is not to blame.
 */
export async function voidPlan(
  parts: Parts & { readonly stored: Stored<TableRecord>; readonly reason: string; readonly voids?: number },
): Promise<void> {
  const { ctx, source, stored, reason } = parts;
  const { table, schema } = stored.value;
  const [found] = await source.discover([table], parts.pipeline.definition.source.columns);
  if (found === undefined) throw new PipelineError('table-changed', `Table ${table} is gone.`);
  if (JSON.stringify(found.schema) !== JSON.stringify(schema))
    throw new PipelineError('table-changed', `The columns of ${table} changed while it was being copied.`, {
      hint: `Run: nanosync pipeline resnapshot ${parts.pipeline.definition.name}`,
    });
  // Invariant 'cover': ranges of another file cover nothing, so they are never mixed with those of this one.
  const { view: _, ...value } = stored.value;
  const next: TableRecord = {
    ...value,
    phase: step(TABLE_MACHINE, stored.value.phase, 'void'),
    epoch: ctx.ids.next(),
    storage: found.storage,
    estimatedRows: found.estimatedRows,
    l0: null,
    l1Requested: false,
    partitions: 0,
    voids: parts.voids ?? stored.value.voids + 1,
  };
  if ((await ctx.state.put(stored.key, next, stored.version)) === undefined)
    throw new PipelineError('conflict', `Another planner changed table ${table} meanwhile.`);
  parts.fresh.add(next.epoch);
  ctx.log.warn('snapshot plan void', { table, reason, voids: next.voids });
}

/** A range that nobody has read. */
export function plannedPartition(partition: number, range: string): PartitionRecord {
  return {
    v: RECORD_VERSION,
    partition,
    range,
    phase: 'planned',
    emitted: false,
    attempt: null,
    attempts: 0,
    reader: null,
    rows: 0,
    bytes: 0,
    voided: null,
  };
}
