import { count } from '../demo/screen.ts';

/** One number of each run, by name. */
export type Series = ReadonlyMap<string, readonly number[]>;

/** What is aimed at; a ratio below is said, not hidden. */
const WANTED: Readonly<Record<string, number>> = { end_to_end_vs_copy: 0.1, encode_vs_copy: 0.4, changes_vs_recvlogical: 0.25 };

/** The most memory that a pipeline's process may have, in MB. */
const WANTED_MB = 1024;

/** Prints best, median and count of each series and returns the medians, with the best beside; memory is judged by its worst run. */
export function report(series: Series, say: (text: string) => void): Readonly<Record<string, number>> {
  const result: Record<string, number> = {};
  say(`\n${''.padEnd(28)}${'best'.padStart(12)}${'median'.padStart(12)}${'count'.padStart(7)}`);
  for (const [name, values] of series) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0)) / 2;
    const least = sorted[0] ?? 0;
    const most = sorted.at(-1) ?? 0;
    const memory = name === 'rss_mb';
    result[name] = rounded(memory ? most : middle);
    result[`${name}_best`] = rounded(memory ? least : most);
    say(
      `${name.padEnd(28)}${shown(memory ? least : most)}${shown(middle)}${String(values.length).padStart(7)}${verdict(name, memory ? most : middle)}`,
    );
  }
  return result;
}

function verdict(name: string, value: number): string {
  if (name === 'rss_mb')
    return value < WANTED_MB ? `  (at most ${value}, below ${WANTED_MB})` : `  ${value} at most, NOT below ${WANTED_MB}`;
  const wanted = WANTED[name];
  return wanted === undefined ? '' : value >= wanted ? `  (at least ${wanted})` : `  BELOW ${wanted}`;
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}

function shown(value: number): string {
  return (value < 100 ? value.toFixed(3) : count(value)).padStart(12);
}
