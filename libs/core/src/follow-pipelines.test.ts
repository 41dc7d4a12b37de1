import { expect, it } from 'vitest';
import { PipelineError } from './errors.ts';
import { followPipelines } from './follow-pipelines.ts';
import type { Log, ServiceContext } from './ports/service.ts';
import type { State } from './ports/state.ts';

/** A context whose state store answers to the nth list with the nth of these, and whose sleeps end at once. */
function contextOf(answers: readonly (Error | 'pipeline' | 'none')[]) {
  const said: string[] = [];
  const ending = new AbortController();
  const line = (level: string) => (message: string) => void said.push(`${level} ${message}`);
  const log: Log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error'), with: () => log };
  const left = [...answers];
  const list = async () => {
    const answer = left.shift();
    if (left.length === 0) ending.abort();
    if (answer instanceof Error) throw answer;
    return answer === 'pipeline' ? [{ key: 'pipelines/p', value: { v: 1, definition: { name: 'p' } }, version: 1 }] : [];
  };
  const clock = { nowMs: () => 0, monotonicMs: () => 0, sleep: async () => undefined };
  const ctx = { state: { list } as unknown as State, clock, log, signal: ending.signal } as unknown as ServiceContext;
  return { ctx, said };
}

const away = () => new PipelineError('unavailable', 'Redis does not answer.');

it('names a state store that is away once, and says when it goes on', async () => {
  const { ctx, said } = contextOf([away(), away(), away(), 'pipeline', away(), 'none', 'none']);
  let runs = 0;
  await followPipelines(
    ctx,
    () => true,
    async () => void runs++,
  );
  expect(said).toEqual(['warn service waits', 'info service goes on', 'warn service waits', 'info service goes on']);
  expect(runs).toBe(1);
});

it('throws what does not pass by itself, when its loops have ended', async () => {
  const refused = new PipelineError('prerequisite', 'Redis wants a password.');
  const { ctx, said } = contextOf(['pipeline', refused, 'none']);
  let ended = false;
  const run = (inner: ServiceContext) =>
    new Promise<void>((resolve) =>
      inner.signal.addEventListener('abort', () => {
        ended = true;
        resolve();
      }),
    );
  await expect(followPipelines(ctx, () => true, run)).rejects.toBe(refused);
  expect([ended, said]).toEqual([true, []]);
});
