import { expect, vi } from 'vitest';
import { nanosync } from './command.ts';
import { expectEqual } from './outcome.ts';
import type { Scenario } from './scenario.ts';
import { PIPELINE } from './scenario.ts';

const CURE = `nanosync pipeline resnapshot ${PIPELINE}`;

/**
 * The pipeline has failed for this reason, status says so, and the cure that both name makes sink and source equal: the command,
 * run as it stands there while the server runs.
 */
export async function expectRepair(scenario: Scenario, reason: RegExp): Promise<void> {
  const failure = await scenario.failed();
  expect(failure.reason).toMatch(reason);
  expect(failure.cure).toContain(CURE);
  expect(nanosync(scenario, 'status')).toMatchObject({ status: 1, output: expect.stringContaining(CURE) });
  await resnapshot(scenario);
  await scenario.live();
  expect(nanosync(scenario, 'status')).toMatchObject({ status: 0 });
  await expectEqual(scenario);
}

/** Runs the command that asks for a resnapshot, until a server is there to hear it. */
export async function askForResnapshot(scenario: Scenario): Promise<void> {
  const ask = () => expect(nanosync(scenario, 'pipeline', 'resnapshot', PIPELINE)).toMatchObject({ status: 0 });
  await vi.waitFor(ask, { timeout: 30_000, interval: 300 });
}

/** Runs the command and waits until the pipeline has begun anew. */
export async function resnapshot(scenario: Scenario): Promise<void> {
  await askForResnapshot(scenario);
  await scenario.until('begun anew', ({ pipeline }) => pipeline.request === null && pipeline.anchor !== null, { mayFail: true });
}
