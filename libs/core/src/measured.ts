import type { MeasuredStep, Metrics } from './metrics.ts';
import type { Clock } from './ports/clock.ts';

/** Runs a step and measures it, where somebody asks for it. */
export async function measured<T>(
  { clock, metrics }: { readonly clock: Clock; readonly metrics?: Metrics },
  { step, pipeline, bytes, entries }: MeasuredStep,
  work: () => Promise<T>,
): Promise<T> {
  if (metrics === undefined) return work();
  const labels = { step, pipeline };
  const beganMs = clock.monotonicMs();
  metrics.move('nanosync_steps_running', labels, 1);
  try {
    const result = await work();
    metrics.observe('nanosync_batch_seconds', labels, (clock.monotonicMs() - beganMs) / 1000);
    if (bytes !== undefined) metrics.observe('nanosync_batch_bytes', labels, bytes);
    if (entries !== undefined) metrics.observe('nanosync_batch_entries', labels, entries);
    return result;
  } catch (error) {
    metrics.count('nanosync_steps_failed_total', labels);
    throw error;
  } finally {
    metrics.move('nanosync_steps_running', labels, -1);
  }
}
