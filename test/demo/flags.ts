import { parseArgs } from 'node:util';

/** One flag of a command: a switch, a number in a range, or one of some words. */
export type Flag =
  | { readonly kind: 'switch'; readonly help: string }
  | { readonly kind: 'number'; readonly initial: number; readonly least: number; readonly most: number; readonly help: string }
  | { readonly kind: 'word'; readonly words: readonly string[]; readonly help: string | null };

/** What the flags were set to. */
export type FlagValues<F extends Readonly<Record<string, Flag>>> = {
  readonly [K in keyof F]: F[K]['kind'] extends 'switch' ? boolean : F[K]['kind'] extends 'number' ? number : string | undefined;
};

/** A command line that cannot be understood; the message is the one sentence to print. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Reads `--name`, `--name value` and `--name=value`; throws {@link UsageError} for anything else. */
export function readFlags<F extends Readonly<Record<string, Flag>>>(flags: F, args: readonly string[]): FlagValues<F> {
  const values: Record<string, boolean | number | string | undefined> = {};
  for (const [name, flag] of Object.entries(flags))
    values[name] = flag.kind === 'switch' ? false : flag.kind === 'number' ? flag.initial : undefined;
  const options = Object.fromEntries(Object.keys(flags).map((name) => [name, { type: 'string' as const }]));
  const { tokens } = parseArgs({ args: [...withValues(flags, args)], options, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind !== 'option')
      throw new UsageError(`There is nothing to do with ${shown(token.kind === 'positional' ? token.value : '--')}; ${known(flags)}`);
    const flag = flags[token.name];
    if (flag === undefined) throw new UsageError(`There is no flag ${shown(token.rawName)}; ${known(flags)}`);
    values[token.name] = readValue(token.rawName, flag, token.value);
  }
  return values as FlagValues<F>;
}

/** What `--help` prints. */
export function helpText(usage: string, flags: Readonly<Record<string, Flag>>): string {
  const lines = Object.entries(flags).flatMap(([name, flag]) => {
    if (flag.help === null) return [];
    return [`  --${name}${flag.kind === 'number' ? ' N' : ''}`.padEnd(16) + flag.help];
  });
  return [usage, '', ...lines].join('\n');
}

function readValue(name: string, flag: Flag, value: string | undefined): boolean | number | string {
  switch (flag.kind) {
    case 'switch':
      if (value !== '') throw new UsageError(`${name} takes no value.`);
      return true;
    case 'number': {
      const number = /^\d{1,12}$/.test(value ?? '') ? Number(value) : Number.NaN;
      if (!(number >= flag.least && number <= flag.most)) {
        throw new UsageError(`${name} takes a whole number from ${flag.least} to ${flag.most}, not ${shown(value ?? '')}.`);
      }
      return number;
    }
    case 'word':
      if (value === undefined || !flag.words.includes(value)) throw new UsageError(`${name} takes one of ${flag.words.join(', ')}.`);
      return value;
  }
}

/** Gives switches an empty value, so that none takes the argument after it for its own. */
function withValues(flags: Readonly<Record<string, Flag>>, args: readonly string[]): readonly string[] {
  return args.map((arg) => (flags[arg.replace(/^--/, '')]?.kind === 'switch' ? `${arg}=` : arg));
}

function known(flags: Readonly<Record<string, Flag>>): string {
  const names = Object.entries(flags).filter(([, flag]) => flag.help !== null);
  return `the flags are ${names.map(([name]) => `--${name}`).join(', ')}.`;
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 40));
}
