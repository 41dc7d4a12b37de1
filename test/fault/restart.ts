import { setTimeout as pause } from 'node:timers/promises';
import { randomOf } from '../shared/random.ts';
import type { Scenario } from './scenario.ts';

/** The process starts again; every second time it is killed once more, somewhere. */
export async function restart(scenario: Scenario, seed: number): Promise<void> {
  const random = randomOf(seed);
  scenario.start();
  if (random() < 0.5) return;
  await pause(500 + random() * 1500);
  await scenario.kill();
  scenario.start();
}
