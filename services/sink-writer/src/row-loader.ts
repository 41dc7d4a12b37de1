import type {
  EndMarker,
  PartitionRecord,
  PipelineRecord,
  RowBatch,
  ServiceContext,
  Sink,
  TableId,
  TableRecord,
  TableSchema,
} from '@nanosync/core';
import {
  END_MARKER,
  isLeftOut,
  leaseNames,
  leavingTables,
  listRecords,
  MessageSchemas,
  measured,
  PipelineError,
  ROW_BATCH,
  ROWS_BUS_PARTITIONS,
  readRecord,
  stateKeys,
  withLease,
} from '@nanosync/core';
import { markDurable, markStagedDurable } from './durable-partitions.ts';
import { bytesOf, gather } from './gather.ts';
import type { PartitionMessages } from './partitions-reader.ts';
import { PartitionsReader } from './partitions-reader.ts';
import { Trimmer } from './trimmer.ts';

/** Bytes read of each bus partition at a time; staged in one transaction, about, where the sink does not say what it wants. */
const READ_BYTES = 4_000_000;
const WAIT_MS = 500;
/** How often an idle loader looks whether all that was published has arrived, in milliseconds. */
const COMPARE_EVERY_MS = 5000;

/**
 * Stages the pipeline's row batches in the sink, in the order of each bus partition, from the offsets that the sink itself has,
 * under an owner token of its own: a second loader, or a late write of an earlier one, aborts. Then tells the ledger which
 * partitions are durable.
 */
export async function runRowLoader(ctx: ServiceContext, pipeline: PipelineRecord, sink: Sink, wanted: () => boolean): Promise<void> {
  const load = (owner: string, signal: AbortSignal) => loadRows({ ...ctx, signal }, pipeline, sink, owner);
  await withLease(ctx, leaseNames.rows(pipeline.definition.name), load, wanted);
}

async function loadRows(ctx: ServiceContext, pipeline: PipelineRecord, sink: Sink, owner: string): Promise<void> {
  const { name } = pipeline.definition;
  if ((await ctx.state.get(stateKeys.pipeline(name))) === undefined)
    throw new PipelineError('conflict', `Pipeline ${name} is gone from the state store.`);
  const topic = await ctx.bus.ensureTopic(ctx.topics.rows(name), ROWS_BUS_PARTITIONS);
  const stream = `${topic.id} ${pipeline.anchor?.id ?? ''}`;
  const offsets = [...(await sink.claimRows(name, owner, stream, ROWS_BUS_PARTITIONS))];
  // A loader that begins begins where the topic does: what was trimmed is older than this anchor.
  const from = offsets.map((offset, partition) => (offset === 0 ? (topic.partitions[partition]?.start ?? 0) : offset));
  const compareEveryMs = Math.max(COMPARE_EVERY_MS, sink.pace?.lookEveryMs ?? 0);
  let compareAtMs = ctx.clock.monotonicMs() + compareEveryMs;
  /** Epochs whose generation was seen at the sink: they are not asked for again, which costs where each question does. */
  const built = new Set<string>();
  await markStagedDurable(ctx, pipeline, sink);
  const decode = await RowsDecoder.open(ctx);
  const trimmer = new Trimmer(ctx, topic.name);
  await using reader = await PartitionsReader.open(ctx.bus, topic.name, from, { maxBytes: READ_BYTES, signal: ctx.signal });
  const { stageBytes = READ_BYTES, stageWaitMs = 0 } = sink.pace ?? {};
  const enough = { bytes: stageBytes, waitMs: stageWaitMs, isWhole: (read: readonly PartitionMessages[]) => decode.areEnded(read) };
  while (!ctx.signal.aborted) {
    const read = await gather(reader, { clock: ctx.clock, signal: ctx.signal, idleMs: WAIT_MS }, enough);
    await trimmer.trim(offsets);
    if (read.length === 0 && ctx.clock.monotonicMs() >= compareAtMs) {
      compareAtMs = ctx.clock.monotonicMs() + compareEveryMs;
      await requireArrived(ctx, pipeline, sink, { offsets, built });
    }
    if (read.length === 0) continue;
    const { batches, ends } = await decode.all(read);
    const moves = read.map(({ busPartition, messages }) => ({
      busPartition,
      from: offsets[busPartition] as number,
      to: (messages.at(-1)?.offset as number) + 1,
    }));
    const entries = batches.reduce((rows, { batch }) => rows + batch.rows, 0);
    const step = { step: 'stage', pipeline: name, entries, bytes: bytesOf(read) } as const;
    await measured(ctx, step, () => sink.stage({ pipeline: name, owner, moves, batches, ends }));
    ctx.failpoint('rows-staged');
    for (const { busPartition, to } of moves) offsets[busPartition] = to;
    await reportDurable(ctx, name, sink, ends);
  }
}

/** Of the partitions whose end marker came just now, those that are complete. */
async function reportDurable(ctx: ServiceContext, pipeline: string, sink: Sink, ends: readonly EndMarker[]): Promise<void> {
  const epochs = new Map(ends.map((end) => [`${end.table}/${end.epoch}`, { table: end.table as TableId, epoch: end.epoch }]));
  for (const { table, epoch } of epochs.values()) {
    const wanted = new Set(ends.filter((end) => end.table === table && end.epoch === epoch).map((end) => end.partition));
    const staged = await sink.staged({ pipeline, table, epoch });
    for (const { partition } of staged) if (wanted.has(partition)) await markDurable(ctx, pipeline, table, epoch, partition);
  }
}

/**
 * The ledger is told `read` after the end marker was durable on the bus, and `durable` after the sink had all of it. So when everything on the
 * bus has been staged, such a partition is complete at the sink. Otherwise the bus has lost its newest messages, or staging was given up or
 * removed behind a state store that knows nothing of it; nobody would read the range again.
 */
async function requireArrived(
  ctx: ServiceContext,
  pipeline: PipelineRecord,
  sink: Sink,
  { offsets, built }: { readonly offsets: readonly number[]; readonly built: Set<string> },
): Promise<void> {
  const { name } = pipeline.definition;
  for (const { key, value } of await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))) {
    const { table, epoch } = value;
    const generation = { pipeline: name, table, epoch };
    if (value.anchor !== pipeline.anchor?.id || built.has(epoch)) continue;
    if ((await sink.generation(generation)) !== undefined) {
      built.add(epoch);
      continue;
    }
    const ledger = await listRecords<PartitionRecord>(ctx.state, stateKeys.partitions(name, table, epoch));
    const published = ledger.filter(
      ({ value: { phase, partition } }) => !isLeftOut(value, partition) && (phase === 'read' || phase === 'durable'),
    );
    if (published.length === 0) continue;
    const topic = await ctx.bus.topic(ctx.topics.rows(name));
    if (offsets.some((offset, partition) => offset < (topic?.partitions[partition]?.end ?? 0))) return;
    const staged = new Set((await sink.staged(generation)).map(({ partition }) => partition));
    // Invariant 'no-silent-gap': nobody would read these ranges again.
    const lost = published.filter((partition) => !staged.has(partition.value.partition));
    if (lost.length === 0 || (await isLeaving(ctx, name, table))) continue;
    if ((await readRecord<TableRecord>(ctx.state, key))?.value.epoch !== epoch) continue;
    throw new PipelineError(
      'gap',
      `Row batches of ${lost.length} partitions of ${table} are neither at the sink nor on the bus any more.`,
      {
        hint: `Run: nanosync pipeline resnapshot ${name}`,
      },
    );
  }
}

/** The sink lets go of a table that is taken out before its records go, and the table is named here longest of all. */
async function isLeaving(ctx: ServiceContext, pipeline: string, table: string): Promise<boolean> {
  const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline)))?.value;
  return now !== undefined && leavingTables(now).includes(table);
}

/** Decodes the two kinds of messages of a rows topic, whichever version wrote them. */
class RowsDecoder {
  private readonly schemas: MessageSchemas;

  private constructor(schemas: MessageSchemas) {
    this.schemas = schemas;
  }

  static async open(ctx: ServiceContext): Promise<RowsDecoder> {
    const own = { 'nanosync.rows-RowBatch': ROW_BATCH, 'nanosync.rows-EndMarker': END_MARKER };
    return new RowsDecoder(await MessageSchemas.open(ctx.registry, own));
  }

  /** True when each bus partition ends with an end marker: nobody is waited for. */
  areEnded(read: readonly PartitionMessages[]): boolean {
    return read.every(({ messages }) => this.schemas.isKnownAs(END_MARKER, messages.at(-1)?.value as Uint8Array));
  }

  async all(read: readonly PartitionMessages[]): Promise<{
    readonly batches: readonly { readonly batch: RowBatch; readonly schema: TableSchema }[];
    readonly ends: readonly EndMarker[];
  }> {
    const batches: { batch: RowBatch; schema: TableSchema }[] = [];
    const ends: EndMarker[] = [];
    for (const { messages } of read)
      for (const { value } of messages) {
        const batch = await this.schemas.read(ROW_BATCH, value);
        const end = batch === undefined ? await this.schemas.read(END_MARKER, value) : undefined;
        if (batch !== undefined) batches.push({ batch, schema: await this.schemas.rows(batch.rowSchemaId) });
        else if (end !== undefined) ends.push(end);
        else throw new PipelineError('defect', 'The rows topic holds a message that is neither row batch nor end marker.');
      }
    return { batches, ends };
  }
}
