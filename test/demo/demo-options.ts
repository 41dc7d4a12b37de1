import type { FlagValues } from './flags.ts';

/** The demo's flags. */
export const DEMO_FLAGS = {
  rows: { kind: 'number', initial: 500_000, least: 1_000, most: 50_000_000, help: 'rows of the wide table (500000)' },
  seconds: { kind: 'number', initial: 5, least: 0, most: 86_400, help: 'how long the writers go on once everything is live (5)' },
  'no-crash': { kind: 'switch', help: 'do not kill the pipeline on the way' },
  clustered: { kind: 'switch', help: 'as processes over Kafka, a registry and Redis, into a BigQuery emulator; fewer rows (100000)' },
  keep: { kind: 'switch', help: 'leave the files and say how to look at them' },
  json: { kind: 'switch', help: 'end with one line of JSON' },
  help: { kind: 'switch', help: 'show this' },
  /** For the demo's own tests: spoils the sink before it is compared. */
  tamper: { kind: 'word', words: ['cell', 'drop', 'double'], help: null },
} as const;

/** The same for a cluster: its sink is an emulator, which takes its time. */
export const CLUSTERED_FLAGS = { ...DEMO_FLAGS, rows: { ...DEMO_FLAGS.rows, initial: 100_000 } } as const;

/** What the demo was asked to do. */
export type DemoOptions = FlagValues<typeof DEMO_FLAGS>;

/** Name of the demo's pipeline. */
export const PIPELINE = 'shop';

/** Connections that write. */
export const WRITERS = 3;

/** Rows of a partition; fewer in a small demo, so that there is something to interrupt. */
export function targetRows(rows: number): number {
  return rows >= 200_000 ? 10_000 : Math.max(100, Math.ceil(rows / 20));
}
