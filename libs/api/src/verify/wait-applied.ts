import type { GenerationStatus, Position } from '@nanosync/core';
import { comparePositions, leastPosition, PipelineError } from '@nanosync/core';
import type { PassParts } from './passes.ts';

const LOOK_EVERY_MS = 100;

/**
 * Waits until the sink has applied every change that is visible at the source now, and returns the position below which it has applied all. A sink that
 * stands still for the limits' patience is given up.
 */
export async function waitUntilApplied({ ports, limits, table, listener }: PassParts): Promise<Position> {
  const { source, sink, clock, signal } = ports;
  const { generation } = table;
  const watermark = { kind: 'watermark', pipeline: generation.pipeline } as const;
  // The first marker puts every visible commit below the end that is read then, the second brings a watermark that is not below that end.
  await source.mark(watermark);
  const goal = await source.end();
  await source.mark(watermark);
  let seen = '';
  let movedMs = clock.monotonicMs();
  for (;;) {
    signal.throwIfAborted();
    const status = await sink.generation(generation);
    if (status === undefined)
      throw new PipelineError('conflict', `Table ${generation.table} was copied anew while it was compared.`, {
        hint: 'Compare it again.',
      });
    const applied = appliedOf(status);
    if (applied !== undefined && comparePositions(applied, goal) >= 0) return applied;
    const now = JSON.stringify(status.progress);
    if (now !== seen) movedMs = clock.monotonicMs();
    seen = now;
    if (clock.monotonicMs() - movedMs >= limits.patienceMs)
      throw new PipelineError(
        'unavailable',
        `The sink has applied nothing of ${generation.table} for ${Math.round(limits.patienceMs / 1000)} seconds and is behind the source.`,
        { hint: 'See nanosync status for what it waits for; with --as-is both sides are compared as they are.' },
      );
    listener.progress({ step: 'waiting', done: 0, of: 0 });
    await clock.sleep(sink.pace?.lookEveryMs ?? LOOK_EVERY_MS, signal);
  }
}

function appliedOf({ progress }: GenerationStatus): Position | undefined {
  return leastPosition(progress.map(({ last }) => last));
}
