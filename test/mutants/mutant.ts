import type { InvariantName } from '@nanosync/core';

/** A test of a vitest project that must fail because of a mutant. */
export interface NamedTest {
  readonly project: 'unit' | 'pg' | 'cluster';
  /** The file that vitest runs. */
  readonly file: string;
  /** The title as it stands in the source: `%s` and `${...}` stand for anything. */
  readonly title: string;
  /** Where the title stands, when that is a contract suite and not `file` itself. */
  readonly suite?: string;
}

/** Seeds of the simulation of which one must fail because of a mutant. */
export interface SimulatedSeeds {
  readonly sim: true;
  readonly seeds: number;
}

/** One small fault that breaks one invariant, and what must notice it. */
export interface Mutant {
  readonly name: string;
  readonly invariant: InvariantName;
  /** What the mutated code does, in a sentence. */
  readonly does: string;
  readonly file: string;
  /** Text that stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** What has to change with it, where a step is moved and not left out. */
  readonly also?: Replacement;
  readonly test: NamedTest | SimulatedSeeds;
}

/** A text that stands in a file exactly once, and what stands there instead. */
export interface Replacement {
  readonly find: string;
  readonly replace: string;
}

/** True for a mutant that only a run of the simulation is to catch. */
export function isSimulated(test: Mutant['test']): test is SimulatedSeeds {
  return 'sim' in test;
}

/** The file with the mutant in it, or undefined when a text to find is not there exactly once. */
export function mutated(text: string, mutant: Pick<Mutant, 'find' | 'replace' | 'also'>): string | undefined {
  const once = replaced(text, mutant);
  return once === undefined || mutant.also === undefined ? once : replaced(once, mutant.also);
}

function replaced(text: string, { find, replace }: Replacement): string | undefined {
  const at = text.indexOf(find);
  if (at < 0 || text.indexOf(find, at + 1) >= 0 || find === replace) return undefined;
  return text.slice(0, at) + replace + text.slice(at + find.length);
}

/** A pattern for the titles that vitest gives to a test of this title in the source. */
export function titlePattern(title: string): string {
  const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return title
    .split(/%[sijdo]|\$\{[^}]*\}|\$\w+/)
    .map(literal)
    .join('.*');
}
