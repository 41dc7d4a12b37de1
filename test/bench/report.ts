import { count } from '../demo/screen.ts';

/** One number of each run, by name. */
export type Series = ReadonlyMap<string, readonly number[]>;

/** What is aimed at: at least, or below. `worst`: judged by its worst run, not by the median. */
type Wanted = { readonly least: number } | { readonly below: number; readonly worst: boolean };

const atLeast = (least: number): Wanted => ({ least });
const below = (limit: number): Wanted => ({ below: limit, worst: false });
const alwaysBelow = (limit: number): Wanted => ({ below: limit, worst: true });

/** A number that misses its aim is said, not hidden. */
const WANTED: Readonly<Record<string, Wanted>> = {
  end_to_end_vs_copy: atLeast(0.1),
  encode_vs_copy: atLeast(0.4),
  to_kafka_vs_copy: atLeast(0.25),
  changes_vs_recvlogical: atLeast(0.25),
  latency_p50_ms: below(15),
  latency_p99_ms: below(40),
  two_workers_vs_one: below(0.6),
  partitions_read_twice: alwaysBelow(1),
  rss_mb: alwaysBelow(1024),
  worker_rss_mb: alwaysBelow(300),
  capture_rss_mb: alwaysBelow(300),
};

/** Prints best, median and count of each series and returns the medians (or worst, where that is judged), with the best beside. */
export function report(series: Series, say: (text: string) => void): Readonly<Record<string, number>> {
  const result: Record<string, number> = {};
  say(`\n${''.padEnd(28)}${'best'.padStart(12)}${'median'.padStart(12)}${'count'.padStart(7)}`);
  for (const [name, values] of series) {
    const wanted = WANTED[name];
    const sorted = [...values].sort((a, b) => a - b);
    const middle = ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0)) / 2;
    const [least, most] = [sorted[0] ?? 0, sorted.at(-1) ?? 0];
    const lowIsGood = wanted !== undefined && 'below' in wanted;
    const judged = lowIsGood && wanted.worst ? most : middle;
    const best = lowIsGood ? least : most;
    result[name] = rounded(judged);
    result[`${name}_best`] = rounded(best);
    say(`${name.padEnd(28)}${shown(best)}${shown(middle)}${String(values.length).padStart(7)}${verdict(wanted, judged)}`);
  }
  return result;
}

function verdict(wanted: Wanted | undefined, value: number): string {
  if (wanted === undefined) return '';
  if ('least' in wanted) return value >= wanted.least ? `  (at least ${wanted.least})` : `  BELOW ${wanted.least}`;
  const worst = wanted.worst ? `at most ${rounded(value)}, ` : '';
  return value < wanted.below ? `  (${worst}below ${wanted.below})` : `  ${worst}NOT below ${wanted.below}`;
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}

function shown(value: number): string {
  return (value < 100 ? value.toFixed(3) : count(value)).padStart(12);
}
