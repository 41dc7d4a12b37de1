import type { PartitionRecord, PipelineRecord, ServiceContext, Sink, Source, StateEntry, Stored, TableRecord } from '@nanosync/core';
import { describeError, isKind, leaseNames, listRecords, PIPELINE_MACHINE, PipelineError, stateKeys, step } from '@nanosync/core';

/** What a pipeline is deleted with. */
export interface DeletingParts {
  readonly ctx: ServiceContext;
  readonly stored: Stored<PipelineRecord>;
  readonly source: () => Promise<Source>;
  readonly sink: () => Promise<Sink>;
}

/** Stops a pipeline for good, and then takes away what there is of it. Returns what it waits for, or how it goes on. */
export async function stopAndDelete(
  parts: DeletingParts,
  close: () => Promise<void>,
): Promise<'stopped' | 'deleted' | { readonly waits: string }> {
  const { ctx, stored } = parts;
  const { phase, definition } = stored.value;
  if (phase !== 'stopped') {
    await close();
    const value = { ...stored.value, phase: step(PIPELINE_MACHINE, phase, 'delete'), waiting: null };
    if ((await ctx.state.put(stored.key, value, stored.version)) !== undefined)
      ctx.log.info('pipeline stopped, to be deleted', { pipeline: definition.name, phase });
    return 'stopped';
  }
  const waits = await deletePipeline(parts);
  if (waits !== null) return { waits };
  await close();
  ctx.log.info('pipeline deleted', { pipeline: definition.name });
  return 'deleted';
}

/**
 * Removes all of a pipeline that is `stopped`: once its services have let go, slots and publication, topics, what the sink keeps of it, and the
 * state's records, the pipeline's own last. Each step changes nothing when it is repeated, so dying anywhere costs a repetition. Whoever
 * was stopped meanwhile finds no record to change, no claim to write under, and no epoch that is not over. Returns what it waits for, or null once all is
 * gone. What does not answer is waited for, unless the deletion is forced: then it is left as it is.
 */
export async function deletePipeline({ ctx, stored, source, sink }: DeletingParts): Promise<string | null> {
  const { name } = stored.value.definition;
  const deletion = stored.value.intent.deletion ?? { dropTables: false };
  const holder = await holderOf(ctx, stored.value);
  if (holder !== null) return `The pipeline is deleted once ${holder} has stopped.`;
  const leave = deletion.force === true;
  const still = () => requireUnchanged(ctx, stored);
  await outside(ctx, { name, what: 'source', leave }, async () => {
    const opened = await source();
    // Invariant 'one-owner': asked for slots and publication, where nobody can make them anew meanwhile.
    await opened.release(name, async () => {
      await still();
      return true;
    });
  });
  ctx.failpoint('source-released');
  for (const topic of await topicsOf(ctx, stored.value)) {
    await still();
    await ctx.bus.deleteTopic(topic);
  }
  ctx.failpoint('topics-deleted');
  await outside(ctx, { name, what: 'sink', leave }, async () => {
    const opened = await sink();
    await still();
    await opened.release(name, null, { dropTables: deletion.dropTables });
  });
  ctx.failpoint('sink-released');
  // Those that were there before the record was seen to be unchanged, by their versions: what comes later is of a pipeline of the same name.
  const records = [
    ...(await listed(ctx, recordsOf(name))),
    ...(await found(ctx, [stateKeys.capture(name), stateKeys.watch(name), stateKeys.query(name)])),
  ];
  await still();
  for (const { key, version } of records) await ctx.state.remove(key, version);
  ctx.failpoint('records-removed');
  // Beaten: something else is wanted of the deletion by now, or another planner is at it too.
  if (await ctx.state.remove(stored.key, stored.version)) return null;
  return (await ctx.state.get(stored.key)) === undefined ? null : 'The pipeline is being deleted.';
}

async function listed(ctx: ServiceContext, prefixes: readonly string[]): Promise<readonly StateEntry[]> {
  const entries: StateEntry[] = [];
  for (const prefix of prefixes) entries.push(...(await ctx.state.list(prefix)));
  return entries;
}

async function found(ctx: ServiceContext, keys: readonly string[]): Promise<readonly StateEntry[]> {
  const entries: StateEntry[] = [];
  for (const key of keys) entries.push(...([await ctx.state.get(key)].filter((entry) => entry !== undefined) as StateEntry[]));
  return entries;
}

/**
 * Asked just before each step, which goes by the pipeline's name: a planner that was stopped for long must not take away what another one, which
 * finished the deletion, has made of the same name since. Stopped right behind this it still does; see what is left in the decision.
 */
async function requireUnchanged(ctx: ServiceContext, { key, version }: Stored<PipelineRecord>): Promise<void> {
  if (ctx.signal.aborted || (await ctx.state.get(key))?.version !== version)
    throw new PipelineError('conflict', 'Another process changed the pipeline that is being deleted meanwhile.');
}

/** Who works on the pipeline still, by the leases that services hold while they do, or null. */
async function holderOf(ctx: ServiceContext, { definition }: PipelineRecord): Promise<string | null> {
  const { name } = definition;
  const records = (await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))).map(({ value }) => value);
  const tables = new Set([...definition.source.tables, ...records.map(({ table }) => table)]);
  const leases = [
    { lease: leaseNames.capture(name), who: 'cdc-capture' },
    ...[leaseNames.rows(name), ...[...tables].map((table) => leaseNames.table(name, table))].map((lease) => ({
      lease,
      who: 'sink-writer',
    })),
  ];
  for (const { lease, who } of leases) if (await ctx.state.isLeased(lease)) return who;
  for (const { key, value } of await listRecords<PartitionRecord>(ctx.state, stateKeys.partitionsOf(name)))
    if (value.phase === 'reading' && (await ctx.state.isLeased(leaseNames.partition(key)))) return 'snapshot-worker';
  return null;
}

async function topicsOf(ctx: ServiceContext, { definition }: PipelineRecord): Promise<readonly string[]> {
  const { name } = definition;
  const records = (await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))).map(({ value }) => value);
  const tables = new Set([...definition.source.tables, ...records.map(({ table }) => table)]);
  return [ctx.topics.rows(name), ctx.topics.quarantine(name), ...[...tables].map((table) => ctx.topics.changes(name, table))];
}

function recordsOf(pipeline: string): readonly string[] {
  return [stateKeys.partitionsOf(pipeline), stateKeys.sinkReports(pipeline), stateKeys.troubles(pipeline), stateKeys.tables(pipeline)];
}

/** A step at the source or the sink; where that does not answer, or refuses, says how to do without it. */
async function outside(
  ctx: ServiceContext,
  { name, what, leave }: { readonly name: string; readonly what: 'source' | 'sink'; readonly leave: boolean },
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof PipelineError) || error.kind === 'defect') throw error;
    if (leave && !isKind(error, 'conflict'))
      return ctx.log.warn(`the ${what} is left as it is`, { pipeline: name, err: describeError(error) });
    const without = `Where the ${what} is gone for good: nanosync pipeline delete ${name} --force --yes`;
    throw new PipelineError(error.kind, `The pipeline is not deleted yet: ${error.message}`, {
      hint: error.hint === undefined ? without : `${error.hint} ${without}`,
      cause: error,
    });
  }
}

/** Throws where the pipeline is gone: asked just before something is made that its deletion has looked for by now. */
export async function requireThere(ctx: ServiceContext, pipeline: string): Promise<void> {
  if ((await ctx.state.get(stateKeys.pipeline(pipeline))) === undefined)
    throw new PipelineError('conflict', `Pipeline ${pipeline} is gone from the state store.`);
}
