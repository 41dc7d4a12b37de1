import type { Position } from '@nanosync/core';
import type { PassParts } from './passes.ts';

/** What came of waiting at the fence. */
export interface FencePassed {
  /** Every commit below was visible when this returned, unless `held`. */
  readonly position: Position;
  /** Who held it for too long: a transaction that is open at the source. */
  readonly held: string | undefined;
}

/** Waits until whatever is committed by now is visible, but no longer than the limits' patience. */
export async function passFenceInTime({ ports, limits }: Pick<PassParts, 'ports' | 'limits'>): Promise<FencePassed> {
  const { source, clock, signal } = ports;
  const position = await source.end();
  const ending = new AbortController();
  let held = 'a transaction that is open at the source';
  let over = false;
  const timer = clock.sleep(limits.patienceMs, ending.signal).then(() => {
    over = !ending.signal.aborted;
    ending.abort();
  });
  try {
    await source.fence({
      signal: AbortSignal.any([signal, ending.signal]),
      onWait: (waits) => {
        held = waits.map(({ holder }) => holder).join(', ') || held;
      },
    });
    return { position, held: undefined };
  } catch (error) {
    signal.throwIfAborted();
    if (!over) throw error;
    return { position, held };
  } finally {
    ending.abort();
    await timer;
  }
}
