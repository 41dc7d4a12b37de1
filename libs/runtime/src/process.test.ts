import { EventEmitter } from 'node:events';
import type { Clock } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { describe, expect, it, vi } from 'vitest';
import { systemClock } from './clock.ts';
import { failpointOf } from './failpoint.ts';
import { randomIds } from './ids.ts';
import { backoffMs, retryTimed } from './retry.ts';
import { listenForShutdown } from './shutdown.ts';

/** A clock whose sleeps end at once and are written down. */
function instantClock(): Clock & { readonly slept: number[] } {
  const slept: number[] = [];
  return { slept, nowMs: () => 0, monotonicMs: () => 0, sleep: async (ms) => void slept.push(ms) };
}

it('sleeps no time until a moment that has passed, without a warning on the screen', async () => {
  const warned = vi.fn();
  process.once('warning', warned);
  await systemClock().sleep(-5);
  await new Promise(setImmediate);
  process.off('warning', warned);
  expect(warned).not.toHaveBeenCalled();
});

it('sleeps longer than a timer can be, without a warning on the screen', async () => {
  const warned = vi.fn();
  process.once('warning', warned);
  const ending = new AbortController();
  const slept = systemClock().sleep(Number.MAX_SAFE_INTEGER, ending.signal);
  const first = await Promise.race([
    slept.then(() => 'slept'),
    systemClock()
      .sleep(50)
      .then(() => 'not yet'),
  ]);
  process.off('warning', warned);
  ending.abort();
  await slept;
  expect([first, warned.mock.calls]).toEqual(['not yet', []]);
});

describe('failpoints', () => {
  it('dies at the Nth hit of its own place only', () => {
    const die = vi.fn();
    const failpoint = failpointOf('batch-published:3', die);
    for (const name of ['batch-published', 'anchor-stored', 'batch-published'] as const) failpoint(name);
    expect(die).not.toHaveBeenCalled();
    failpoint('batch-published');
    expect(die).toHaveBeenCalledOnce();
    failpoint('batch-published');
    expect(die).toHaveBeenCalledOnce();
  });

  it('dies at the first hit without a number, and never without a spec', () => {
    const die = vi.fn();
    failpointOf(undefined, die)('acknowledged');
    failpointOf('', die)('acknowledged');
    expect(die).not.toHaveBeenCalled();
    failpointOf('acknowledged', die)('acknowledged');
    expect(die).toHaveBeenCalledOnce();
  });

  it.each(['anchor-stord', 'anchor-stored:0', 'anchor-stored:x', ':1', 'toString'])('refuses %s', (spec) => {
    expect(() => failpointOf(spec)).toThrow(/names no failpoint/);
  });
});

describe('shutdown', () => {
  it('aborts at the first signal and exits at the second', () => {
    const source = new EventEmitter();
    const exitNow = vi.fn();
    const shutdown = listenForShutdown(exitNow, source);
    source.emit('SIGINT');
    expect(shutdown.signal.aborted).toBe(true);
    expect(exitNow).not.toHaveBeenCalled();
    source.emit('SIGTERM');
    expect(exitNow).toHaveBeenCalledWith(143);
    shutdown[Symbol.dispose]();
    expect(source.listenerCount('SIGINT') + source.listenerCount('SIGTERM')).toBe(0);
  });
});

describe('retry', () => {
  const away = () => new PipelineError('unavailable', 'the source does not answer.');

  it('waits longer and longer, with jitter, while the error is timed', async () => {
    const clock = instantClock();
    let calls = 0;
    const operation = async () => {
      if (++calls < 4) throw away();
      return 'done';
    };
    const options = { clock, signal: new AbortController().signal, backoff: { firstMs: 100, maxMs: 250 }, random: () => 1 };
    expect(await retryTimed(operation, options)).toBe('done');
    expect(clock.slept).toEqual([100, 200, 250]);
    expect(backoffMs(1, options.backoff, () => 0)).toBe(50);
    expect(backoffMs(1000, options.backoff, () => 1)).toBe(250);
  });

  it('passes on everything else at once', async () => {
    const clock = instantClock();
    for (const error of [new PipelineError('gap', 'x'), new PipelineError('defect', 'x'), new TypeError('x')])
      await expect(retryTimed(() => Promise.reject(error), { clock, signal: new AbortController().signal })).rejects.toBe(error);
    expect(clock.slept).toEqual([]);
  });

  it('ends with the last attempt, and with the signal', async () => {
    const clock = instantClock();
    const never = new AbortController().signal;
    await expect(retryTimed(() => Promise.reject(away()), { clock, signal: never, attempts: 3 })).rejects.toThrow('does not answer');
    expect(clock.slept).toHaveLength(2);
    const controller = new AbortController();
    const aborting = { ...clock, sleep: async () => controller.abort() };
    await expect(retryTimed(() => Promise.reject(away()), { clock: aborting, signal: controller.signal })).rejects.toThrow(
      'does not answer',
    );
  });
});

describe('clock and ids', () => {
  it('sleeps, and wakes early without error', async () => {
    const clock = systemClock();
    const controller = new AbortController();
    const sleeping = clock.sleep(60_000, controller.signal);
    controller.abort();
    await sleeping;
    await clock.sleep(60_000, controller.signal);
    await clock.sleep(1);
    expect(clock.monotonicMs()).toBeGreaterThan(0);
  });

  it('makes ids of 16 hexadecimal digits', () => {
    const ids = randomIds();
    expect(ids.next()).toMatch(/^[0-9a-f]{16}$/);
    expect(ids.next()).not.toBe(ids.next());
  });
});
