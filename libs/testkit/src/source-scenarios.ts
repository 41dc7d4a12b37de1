import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Scenario, ScenarioDatabase } from './source-scenario.ts';
import { runScenario, runSteps } from './source-scenario-run.ts';
import { randomSteps } from './source-scenarios-random.ts';
import { READ_SCENARIOS } from './source-scenarios-read.ts';
import { START_SCENARIOS } from './source-scenarios-start.ts';
import { STREAM_SCENARIOS } from './source-scenarios-stream.ts';

const SCENARIOS: readonly Scenario[] = [...START_SCENARIOS, ...READ_SCENARIOS, ...STREAM_SCENARIOS];

/**
 * What PostgreSQL does that a pipeline depends on, step by step: each scenario must come out as it is written. The same texts run on real
 * servers and on whatever takes their place, so that neither does what the other does not.
 */
export function describeScenarios(
  name: string,
  start: () => Promise<ScenarioDatabase>,
  concerns: (scenario: Scenario) => boolean = () => true,
): void {
  describe(`source scenarios: ${name}`, () => {
    let db: ScenarioDatabase;
    beforeAll(async () => {
      db = await start();
    });
    afterAll(() => db[Symbol.asyncDispose]());

    for (const [number, scenario] of SCENARIOS.entries())
      test.runIf(concerns(scenario))(scenario.name, async () => {
        expect(await runScenario(db, scenario, `s${number}`)).toBe(scenario.text.trim());
      });
  });
}

/** Random scenarios, on two databases at once: both must write the same text. `random` gives the numbers of a seed. */
export function describeSameness(
  name: string,
  databases: readonly [() => Promise<ScenarioDatabase>, () => Promise<ScenarioDatabase>],
  { seeds, random }: { readonly seeds: readonly number[]; readonly random: (seed: number) => () => number },
): void {
  describe(`source scenarios, random: ${name}`, () => {
    const open: ScenarioDatabase[] = [];
    beforeAll(async () => {
      for (const start of databases) open.push(await start());
    });
    afterAll(async () => {
      for (const db of open) await db[Symbol.asyncDispose]();
    });

    test.each(seeds)('seed %i', async (seed) => {
      const texts: string[] = [];
      for (const db of open) texts.push(await runSteps(db, randomSteps(random(seed)), `r${seed}`));
      expect(texts[0]).toBe(texts[1]);
      expect(texts[0]).not.toContain('MOVED');
    });
  });
}
