import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Plan } from './plan.ts';
import { planOf } from './plan.ts';

/** From so many seeds on everything must have occurred; as many are run when nothing is said. */
export const WHOLE_RUN = 300;

/** What `npm run sim` was asked for. */
export interface Options {
  readonly help: boolean;
  readonly seeds: number;
  readonly from: number;
  readonly seed: number | undefined;
  readonly plan: Plan | undefined;
  readonly isShrunk: boolean;
  readonly isJson: boolean;
}

/** Reads the arguments; a sentence when they cannot be used. */
export function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        seeds: { type: 'string' },
        from: { type: 'string' },
        seed: { type: 'string' },
        plan: { type: 'string' },
        'no-shrink': { type: 'boolean' },
        json: { type: 'boolean' },
      },
    });
    return {
      help: values.help === true,
      seeds: number('seeds', values.seeds) ?? WHOLE_RUN,
      from: number('from', values.from) ?? 1,
      seed: number('seed', values.seed),
      plan: values.plan === undefined ? undefined : planFrom(values.plan),
      isShrunk: values['no-shrink'] !== true,
      isJson: values.json === true,
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function number(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new Error(`--${name} takes a whole number from 1 on, not ${JSON.stringify(text)}.`);
  return Number(text);
}

/** A plan as a failing seed printed it, or a part of one: the seed that it names says the rest. */
function planFrom(text: string): Plan {
  let json: unknown;
  try {
    json = JSON.parse(text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text);
  } catch (error) {
    throw new Error(`--plan takes JSON, or @ and the name of a file with it: ${error instanceof Error ? error.message : String(error)}`);
  }
  const seed = (json as { readonly seed?: unknown } | null)?.seed;
  if (typeof seed !== 'number') throw new Error('--plan takes an object with a seed, such as {"seed":42,"faults":[]}.');
  return { ...planOf(seed), ...(json as Partial<Plan>) };
}
