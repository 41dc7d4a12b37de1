import type { CaptureRecord, GenerationId, Position, ServiceContext, TableRecord } from '@nanosync/core';
import { CONTROL_EVENT, MessageSchemas, PipelineError, parsePosition, readRecord, stateKeys } from '@nanosync/core';

/** Where a generation begins on its change topic: right after its own generation event, in each bus partition. */
export interface GenerationStart {
  readonly l0: Position;
  readonly topicId: string;
  readonly partitions: readonly { readonly next: number; readonly session: number }[];
}

/**
 * Finds the generation event of an epoch in every bus partition, waiting for it where capture has not published it yet. Returns
 * undefined when the signal aborts first, or the table has got another epoch.
 */
export async function findGenerationStart(
  ctx: ServiceContext,
  topic: string,
  { pipeline, table, epoch }: GenerationId,
): Promise<GenerationStart | undefined> {
  const info = await ctx.bus.topic(topic);
  if (info === undefined) throw new PipelineError('gap', `Topic ${topic} is gone.`);
  const schemas = await MessageSchemas.open(ctx.registry, { 'nanosync.control-value': CONTROL_EVENT });
  const partitions: { next: number; session: number }[] = [];
  let l0: Position | undefined;
  for (const [partition, { start }] of info.partitions.entries()) {
    const isPublished = async () =>
      (await readRecord<CaptureRecord>(ctx.state, stateKeys.capture(pipeline)))?.value.tables[table]?.epoch === epoch;
    const isWanted = async () => (await readRecord<TableRecord>(ctx.state, stateKeys.table(pipeline, table)))?.value.epoch === epoch;
    const found = await findIn(ctx, topic, { partition, start, schemas, epoch, isPublished, isWanted });
    if (found === undefined) return undefined;
    if (l0 !== undefined && l0 !== found.position)
      throw new PipelineError('defect', `Epoch ${epoch} has two generation events on ${topic}.`);
    l0 = found.position;
    partitions.push({ next: found.next, session: found.session });
  }
  return l0 === undefined ? undefined : { l0, topicId: info.id, partitions };
}

async function findIn(
  ctx: ServiceContext,
  topic: string,
  where: {
    readonly partition: number;
    readonly start: number;
    readonly schemas: MessageSchemas;
    readonly epoch: string;
    /** Capture has stored that the event is on the bus. */
    readonly isPublished: () => Promise<boolean>;
    /** The table still has this epoch: the event of one that was given up may never come. */
    readonly isWanted: () => Promise<boolean>;
  },
): Promise<{ readonly next: number; readonly session: number; readonly position: Position } | undefined> {
  await using reader = await ctx.bus.reader(topic, where.partition, where.start);
  let next = where.start;
  while (!ctx.signal.aborted && (await where.isWanted())) {
    const isPublished = await where.isPublished();
    const end = (await ctx.bus.topic(topic))?.partitions[where.partition]?.end ?? next;
    if (isPublished && next >= end) throw new PipelineError('gap', `Topic ${topic} has lost the generation event of epoch ${where.epoch}.`);
    for (const { value, offset } of await reader.read({ maxBytes: 4_000_000, waitMs: 500, signal: ctx.signal })) {
      next = offset + 1;
      const read = where.schemas.read(CONTROL_EVENT, value);
      const event = read instanceof Promise ? await read : read;
      // Invariant 'gate': what comes before an epoch's own generation event is not for it.
      if (event?.kind === 'generation' && event.epoch === where.epoch)
        return { next: offset + 1, session: event.session, position: parsePosition(event.position) };
    }
  }
  return undefined;
}
