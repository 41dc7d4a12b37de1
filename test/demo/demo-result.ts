import type { OverlapCounts } from '@nanosync/core';
import type { TableComparison } from '../compare/compare-table.ts';
import type { ProcessMemory } from './deployment.ts';
import type { Progress } from './progress.ts';
import { lsnOf } from './progress.ts';
import { count, type Screen } from './screen.ts';
import type { SnapshotSeen } from './snapshot-step.ts';

/** What a demo found, as `--json` prints it. */
export interface DemoResult {
  readonly ok: boolean;
  readonly rows_snapshotted: number;
  readonly changes_applied: number;
  readonly overlap_changes: number;
  readonly overlap: OverlapCounts;
  /** Changes that the writers committed while their table was partly read, by the writers' own count. */
  readonly changes_while_partly_read: number;
  readonly waited_at_handoff: number;
  readonly killed: boolean;
  readonly partitions: number;
  readonly partitions_repeated: number;
  readonly rows_compared: number;
  readonly missing: number;
  readonly extra: number;
  readonly different: number;
  readonly findings: readonly string[];
  readonly quarantined: number;
  readonly self_check: boolean;
  readonly l0: string;
  readonly l1: string;
  readonly rss_mb: number;
  /** The same for each process. */
  readonly rss_mb_by_process: Readonly<Record<string, number>>;
  readonly phases: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** Everything that was measured on the way. */
export interface DemoParts {
  readonly final: Progress;
  readonly snapshot: SnapshotSeen;
  readonly comparisons: readonly TableComparison[];
  readonly selfCheck: boolean;
  readonly memory: readonly ProcessMemory[];
  readonly phases: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** Adds up a demo. It is `ok` when nothing differs, the self-check found its cell, and something fell into the overlap of a partly read table. */
export function demoResult(parts: DemoParts): DemoResult {
  const { final, snapshot, comparisons } = parts;
  const sum = (of: (table: Progress['tables'][number]) => number) => final.tables.reduce((total, table) => total + of(table), 0);
  const compared = (of: (table: TableComparison) => number) => comparisons.reduce((total, table) => total + of(table), 0);
  const partlyRead = final.tables
    .filter(({ partitions }) => partitions > 1)
    .reduce((total, { overlap }) => total + overlapChanges(overlap), 0);
  const positions = final.tables.flatMap(({ l1 }) => (l1 === null ? [] : [l1])).sort();
  const missing = compared((table) => table.missing);
  const extra = compared((table) => table.extra);
  const different = compared((table) => table.different);
  const quarantined = sum(({ sink }) => (sink?.quarantined ?? 0) + (sink?.defects ?? 0));
  const equal = missing + extra + different + quarantined === 0 && compared((table) => table.sourceRows) > 0;
  return {
    ok: equal && parts.selfCheck && partlyRead > 0 && snapshot.whilePartlyRead > 0,
    rows_snapshotted: sum(({ sink }) => sink?.rowsBuilt ?? 0),
    changes_applied: sum(({ sink }) => sink?.changesApplied ?? 0),
    overlap_changes: sum(({ overlap }) => overlapChanges(overlap)),
    overlap: addOverlap(final),
    changes_while_partly_read: snapshot.whilePartlyRead,
    waited_at_handoff: sum(({ sink }) => sink?.waitedAtHandoff ?? 0),
    killed: snapshot.killed,
    partitions: sum(({ partitions }) => partitions),
    partitions_repeated: sum(({ repeated }) => repeated),
    rows_compared: compared((table) => table.sourceRows),
    missing,
    extra,
    different,
    findings: comparisons.flatMap((table) => table.findings),
    quarantined,
    self_check: parts.selfCheck,
    l0: final.anchor === null ? '' : lsnOf(final.anchor.l0),
    l1: positions.length === 0 ? '' : lsnOf(positions.at(-1)!),
    rss_mb: Math.max(...parts.memory.map(({ mb }) => mb)),
    rss_mb_by_process: Object.fromEntries(parts.memory.map(({ name, mb }) => [name, mb])),
    phases: parts.phases,
    seconds: parts.seconds,
  };
}

/** Prints the summary. */
export function printSummary(screen: Screen, result: DemoResult): void {
  const { overlap } = result;
  const rows: readonly (readonly [string, string])[] = [
    ['rows copied', `${count(result.rows_snapshotted)} in ${result.partitions} partitions, ${result.partitions_repeated} of them repeated`],
    ['changes applied', count(result.changes_applied)],
    [
      'in the overlap',
      `${count(result.overlap_changes)} between L0 ${result.l0} and L1 ${result.l1}: ${count(overlap.inserts)} inserts, ${count(overlap.updates)} updates ` +
        `(${count(overlap.completed)} left large text out), ${count(overlap.deletes)} deletes, ${count(overlap.keyChanges)} key changes`,
    ],
    ['', `${count(result.changes_while_partly_read)} were committed while their table was partly read`],
    [
      'time',
      Object.entries(result.phases)
        .map(([phase, seconds]) => `${phase} ${seconds.toFixed(1)} s`)
        .join(', '),
    ],
    ['memory', memoryText(result.rss_mb_by_process)],
    ['compared', `${count(result.rows_compared)} rows, every column`],
    ['missing', count(result.missing)],
    ['extra', count(result.extra)],
    ['different', count(result.different)],
    ['self-check', result.self_check ? 'a spoiled cell is found and named' : 'FAILED: a spoiled cell was not found'],
  ];
  for (const [name, value] of rows) screen.detail(`${name.padEnd(16)}${value}`);
  if (result.quarantined > 0) screen.detail(`FAILED: ${result.quarantined} changes were quarantined or arrived out of order.`);
  if (result.changes_while_partly_read === 0)
    screen.detail('FAILED: nothing fell into the overlap of a partly read table; try more --rows.');
  screen.line(result.ok ? '\nThe sink equals the source.' : '\nFAILED.');
}

function memoryText(byProcess: Readonly<Record<string, number>>): string {
  return `at most ${Object.entries(byProcess)
    .map(([name, mb]) => `${mb} MB in the ${name}`)
    .join(', ')}`;
}

function overlapChanges(overlap: OverlapCounts): number {
  return overlap.inserts + overlap.updates + overlap.deletes + overlap.keyChanges + overlap.truncates;
}

function addOverlap(progress: Progress): OverlapCounts {
  const total = { inserts: 0, updates: 0, deletes: 0, keyChanges: 0, completed: 0, truncates: 0 };
  for (const { overlap } of progress.tables) {
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += overlap[name];
  }
  return total;
}
