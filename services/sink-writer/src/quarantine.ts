import type { Applied, GenerationId, ServiceContext } from '@nanosync/core';
import { describeError, encodeMessage, isKind, QUARANTINED } from '@nanosync/core';

const AGAIN_MS = 1000;

/** Publishes what the sink could not apply and has already counted, with where it came from. */
export async function publishQuarantined(ctx: ServiceContext, generation: GenerationId, rows: Applied['quarantined']): Promise<void> {
  if (rows.length === 0) return;
  const { pipeline, table, epoch } = generation;
  await surely(ctx, async () => {
    const schemaId = await ctx.registry.register('nanosync.quarantine-value', QUARANTINED.schema);
    const messages = rows.map(({ change, reason }) => ({
      key: change.key,
      value: encodeMessage(QUARANTINED, schemaId, { table, epoch, origin: change.event.position, reason, payload: change.key }),
    }));
    await using producer = await ctx.bus.producer();
    await producer.send(ctx.topics.quarantine(pipeline), 0, messages);
  });
  for (const reason of new Set(rows.map((row) => row.reason)))
    ctx.log.warn('changes quarantined', { table, changes: rows.filter((row) => row.reason === reason).length, reason });
}

/** The sink has moved past these rows, so nobody would send them after this: again, under a new producer, until the bus has them. */
async function surely(ctx: ServiceContext, send: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await send();
    } catch (error) {
      if (!isKind(error, 'unavailable', 'conflict') || ctx.signal.aborted) throw error;
      ctx.log.warn('quarantine is published again', { err: describeError(error) });
      await ctx.clock.sleep(AGAIN_MS, ctx.signal);
    }
  }
}
