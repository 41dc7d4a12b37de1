import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Fault } from './faults.ts';
import { FAULT_NAMES } from './faults.ts';
import type { Plan } from './plan.ts';
import { columnsPlanOf, copyPlanOf, followPlanOf, planOf, queryPlanOf, stopPlanOf, switchPlanOf } from './plan.ts';

/** From so many seeds on everything must have occurred; as many are run when nothing is said. */
export const WHOLE_RUN = 300;

/** What `npm run sim` was asked for. */
export interface Options {
  readonly help: boolean;
  readonly seeds: number;
  readonly from: number;
  readonly seed: number | undefined;
  readonly plan: Plan | undefined;
  /** The plan of a seed, for the type of pipeline that was asked for. */
  readonly planOf: (seed: number) => Plan;
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
        type: { type: 'string' },
        'no-shrink': { type: 'boolean' },
        json: { type: 'boolean' },
      },
    });
    const alone = [values.seed, values.plan, values.seeds ?? values.from].filter((value) => value !== undefined);
    if (alone.length > 1) throw new Error('Choose one of --seed, --plan, and --seeds with --from.');
    return {
      help: values.help === true,
      seeds: number('seeds', values.seeds) ?? WHOLE_RUN,
      from: number('from', values.from) ?? 1,
      seed: number('seed', values.seed),
      plan: values.plan === undefined ? undefined : planFrom(values.plan),
      planOf: plannerOf(values.type),
      isShrunk: values['no-shrink'] !== true && values.type === undefined,
      isJson: values.json === true,
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const PLANS: Readonly<Record<string, (seed: number) => Plan>> = {
  cdc_backfill: planOf,
  cdc: followPlanOf,
  snapshot: copyPlanOf,
  switched: switchPlanOf,
  columns: columnsPlanOf,
  query: queryPlanOf,
  stopped: stopPlanOf,
};

function plannerOf(type = 'cdc_backfill'): (seed: number) => Plan {
  const found = PLANS[type];
  if (found === undefined) throw new Error(`--type takes ${Object.keys(PLANS).join(', ')}, not ${JSON.stringify(type)}.`);
  return found;
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
  if (!Number.isInteger(seed) || (seed as number) < 1)
    throw new Error('--plan takes an object with a seed, such as {"seed":42,"faults":[]}.');
  const whole = planOf(seed as number);
  const part = json as Partial<Plan>;
  for (const name of Object.keys(part))
    if (!(name in whole)) throw new Error(`--plan: a plan has no ${name}; it has ${Object.keys(whole).join(', ')}.`);
  for (const name of ['faults', 'transactions', 'twice'] as const)
    if (part[name] !== undefined && !Array.isArray(part[name])) throw new Error(`--plan: ${name} is a list.`);
  for (const fault of part.faults ?? []) requireFault(fault);
  for (const { atMs, statements } of part.transactions ?? [])
    if (typeof atMs !== 'number' || !Array.isArray(statements))
      throw new Error('--plan: a transaction has atMs and statements; see plan.ts.');
  return { ...whole, ...part };
}

function requireFault({ kind, atMs }: Fault): void {
  if (
    kind !== 'crash' &&
    kind !== 'view lost' &&
    kind !== 'type switched' &&
    kind !== 'columns edited' &&
    kind !== 'query run asked' &&
    kind !== 'copy stopped' &&
    !FAULT_NAMES.some((name) => name === kind || name.endsWith(` ${kind}`))
  )
    throw new Error(`--plan: there is no fault ${JSON.stringify(kind)}; see faults.ts.`);
  if (typeof atMs !== 'number') throw new Error(`--plan: the fault ${kind} has no atMs, the virtual time at which it comes.`);
}
