import type { Mutant } from '../mutant.ts';

/**
 * Mutants that the simulation alone is to catch as well, without the test that was written for them, and within how many seeds: of those
 * seeds a twentieth goes wrong at least, of most a quarter or more.
 */
const SEEDS: Readonly<Record<string, number>> = {
  'no-gate': 40,
  'unplanned-table-built': 40,
  'stale-epoch-accepted': 40,
  'capture-asks-for-no-completion': 40,
  'consistency-asked-for-too-early': 40,
  'stored-before-published': 100,
  'memory-no-truncation-floor': 100,
};

/** The same faults as some of these, each under a name of its own and with seeds instead of a test. */
export function simulated(mutants: readonly Mutant[]): readonly Mutant[] {
  return Object.entries(SEEDS).map(([name, seeds]) => {
    const mutant = mutants.find((one) => one.name === name);
    if (mutant === undefined) throw new Error(`there is no mutant ${name} to simulate`);
    return { ...mutant, name: `simulated-${name}`, test: { sim: true, seeds } };
  });
}
