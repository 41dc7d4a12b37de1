import type { Fault } from './faults.ts';
import { LATE_MS, planFaults } from './plan-faults.ts';
import type { ServiceName } from './process.ts';
import { SERVICES } from './process.ts';
import type { Random } from './random.ts';
import { randomOf } from './random.ts';

/** What one statement of a simulated transaction does; keys are small numbers, so that transactions meet. */
export interface StatementPlan {
  readonly kind: Operation | 'orphan';
  /** Which of the tables. */
  readonly table: number;
  readonly key: number;
  /** The second key of those that need one. */
  readonly other: number;
}

/**
 * - `touch`: an update that leaves the large column as it is, so that the log lacks it. - `key`: another key. - `swap`: two keys change places.
 * - `chain`: one key moves on to the next, whose row moved on before. - `replace`: delete and insert of one key.
 * - `bulk`: more than is published at once. `orphan`, which no seed has: an update of a row that is nowhere, with a cell left out.
 */
export const OPERATIONS = ['insert', 'update', 'touch', 'delete', 'key', 'swap', 'chain', 'replace', 'truncate', 'bulk'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** A simulated transaction. */
export interface TransactionPlan {
  readonly atMs: number;
  /** Time between its statements, and before its end. */
  readonly thinkMs: number;
  readonly statements: readonly StatementPlan[];
  readonly ending: 'commit' | 'rollback' | 'prepared';
  /** How long after its commit record others do not see it yet. */
  readonly hiddenMs: number;
}

/** Everything that one seed decides beforehand. A plan can be cut down and run again. */
export interface Plan {
  readonly seed: number;
  readonly replicationType: 'cdc_backfill' | 'cdc' | 'snapshot' | 'query';
  /** Of a query: its rows are written by key, and not in place of all. */
  readonly isMerged?: boolean;
  readonly transactions: readonly TransactionPlan[];
  readonly faults: readonly Fault[];
  /** Rows of each table at the start. */
  readonly rows: number;
  readonly targetRows: number;
  readonly concurrency: number;
  /** What the state store says that it may lose; see `State.mayLoseMs`. */
  readonly mayLoseMs: number;
  /** The sink wants much of a step. */
  readonly isSinkSlow: boolean;
  /** Bytes that the bus hands out at once, at most; fewer make smaller batches. */
  readonly readBytes: number;
  /** Services that two processes run from the beginning. */
  readonly twice: readonly ServiceName[];
}

/** The tables of a simulation; the last one is there from the beginning and joins the pipeline only where a fault says so. */
export const TABLES = ['orders', 'items', 'added'] as const;
/** The one that may be taken out. */
export const TAKEN_OUT = 1;

const TRANSACTIONS = 100;
const LATE_TRANSACTIONS = 12;
const HIDDEN_TRANSACTIONS = 20;
const HIDDEN_MS = 3500;
const KEYS = 24;
/** Most of the writing is over then. */
export const BUSY_MS = 5500;

/** The plan of a seed for a pipeline that copies once: no slot can be lost, but the view that all is read in. */
export function copyPlanOf(seed: number): Plan {
  const plan = planOf(seed);
  const random = randomOf(seed, 'copy');
  const losses = Array.from({ length: random.int(0, 2) }, (): Fault => ({ kind: 'view lost', atMs: random.int(20, BUSY_MS) }));
  const possible = plan.faults.filter(({ kind, onPhase }) => kind !== 'slot lost' && onPhase !== 'streaming');
  const faults = [...possible, ...losses].sort((a, b) => a.atMs - b.atMs);
  return { ...plan, replicationType: 'snapshot', faults };
}

/** The plan of a seed for a pipeline that copies nothing and follows what comes. */
export function followPlanOf(seed: number): Plan {
  const plan = planOf(seed);
  const random = randomOf(seed, 'follow');
  const when = random.chance(0.5) ? 'before' : 'after';
  const crashes: readonly Fault[] = random.chance(0.4) ? [{ kind: 'crash', service: 'writer', call: 'sink.adopt', when, atMs: 0 }] : [];
  return { ...plan, replicationType: 'cdc', faults: [...crashes, ...plan.faults] };
}

const TYPES = ['cdc_backfill', 'snapshot', 'cdc'] as const;

/** The plan of a seed for a pipeline whose type is edited, while it runs and breaks. */
export function switchPlanOf(seed: number): Plan {
  const plan = planOf(seed);
  const random = randomOf(seed, 'switch');
  const replicationType = random.pick(TYPES);
  const switches = Array.from({ length: random.int(1, 3) }, (): Fault => {
    const atMs = random.chance(0.3) ? random.int(20, 1500) : random.int(1500, 12_000);
    return { kind: 'type switched', to: random.pick(TYPES), atMs };
  });
  const work = switches.flatMap(({ atMs }) =>
    Array.from({ length: LATE_TRANSACTIONS }, () => ({ ...transaction(random), atMs: atMs + random.int(0, 2500) })),
  );
  // A pipeline that copies once is never streaming.
  const others = plan.faults.filter(({ onPhase }) => onPhase !== 'streaming');
  const faults = [...others, ...switches].sort((a, b) => a.atMs - b.atMs);
  const transactions = [...plan.transactions, ...work].sort((a, b) => a.atMs - b.atMs);
  return { ...plan, replicationType, faults, transactions };
}

/** The plan of a seed for a pipeline of which columns are kept back, or no more, while its tables come, are copied, and are live. */
export function columnsPlanOf(seed: number): Plan {
  const plan = planOf(seed);
  const random = randomOf(seed, 'columns');
  const faults = [...plan.faults];
  if (random.chance(0.5)) faults.push({ kind: 'table added', atMs: random.int(20, 4000) });
  if (random.chance(0.3)) faults.push({ kind: 'type switched', to: 'snapshot', atMs: random.int(20, 4000) });
  if (random.chance(0.3)) faults.push({ kind: 'type switched', to: 'cdc_backfill', atMs: random.int(4000, 9000) });
  const busy = faults.filter(({ kind }) => kind === 'table added' || kind.endsWith('copied anew'));
  for (let edits = random.int(1, 4); edits > 0; edits--) {
    const beside = random.chance(0.6) && busy.length > 0 ? random.pick(busy) : undefined;
    const atMs = beside === undefined ? random.int(20, 9000) : beside.atMs + random.int(0, 900);
    faults.push({ kind: 'columns edited', table: beside?.kind === 'table added' ? 2 : random.int(0, 1), atMs });
  }
  const isCopied = faults.some(({ kind }) => kind === 'type switched');
  const possible = faults.filter(({ onPhase }) => !isCopied || onPhase !== 'streaming');
  return { ...plan, faults: possible.sort((a, b) => a.atMs - b.atMs) };
}

/** Faults of what a query has not: tables that come and go, a slot, phases that it is never in. */
const NO_QUERY_HAS: readonly Fault['kind'][] = ['slot lost', 'table added', 'table taken out'];

/** The plan of a seed for a query that runs every second or two over one table. */
export function queryPlanOf(seed: number): Plan {
  const plan = planOf(seed);
  const random = randomOf(seed, 'query');
  const isMerged = random.chance(0.5);
  const call = random.pick(isMerged ? ['sink.merge', 'sink.keyFaults'] : ['sink.build', 'sink.switchTo']);
  const atMs = random.int(20, 6000);
  const late: readonly Fault[] = random.chance(0.4) ? [{ kind: 'zombie statement', atMs, call, byMs: random.int(500, 8000) }] : [];
  const asked: readonly Fault[] = random.chance(0.5) ? [{ kind: 'query run asked', atMs: random.int(20, 8000) }] : [];
  const possible = plan.faults.filter(({ kind, onPhase }) => onPhase === undefined && !NO_QUERY_HAS.includes(kind));
  const faults = [...possible, ...late, ...asked].sort((a, b) => a.atMs - b.atMs);
  return { ...plan, replicationType: 'query', isMerged, faults };
}

/** The plan of a seed for a pipeline whose copies are stopped on the way, mostly in the middle, and sometimes made after all. */
export function stopPlanOf(seed: number): Plan {
  const plan = planOf(seed);
  const random = randomOf(seed, 'stop');
  const back = random.chance(0.2) ? { backMs: random.int(20, 3000) } : {};
  const onPhase = random.chance(0.1) ? ('anchored' as const) : ('snapshotting' as const);
  const at = random.chance(0.15) ? { atMs: random.int(20, BUSY_MS) } : { atMs: 0, onPhase };
  const faults: readonly Fault[] = [{ kind: 'copy stopped', ...at, inMs: random.int(0, 1600), ...back }, ...plan.faults];
  // Many partitions, few at a time: there is something to stop. And rows that nothing changes: only the copy has them.
  return { ...plan, faults, rows: random.int(KEYS + 20, KEYS + 40), targetRows: random.int(3, 6), concurrency: random.int(1, 2) };
}

/** The plan of a seed. */
export function planOf(seed: number): Plan {
  const random = randomOf(seed, 'plan');
  const mayLoseMs = random.chance(0.5) ? 1500 : 0;
  const transactions = Array.from({ length: random.int(TRANSACTIONS - 20, TRANSACTIONS + 20) }, () => transaction(random));
  if (random.chance(0.04)) transactions.push({ ...transaction(random), statements: [statement(random, 'bulk')], ending: 'commit' });
  // A slot that waits, and commits below it that are long invisible: what the fence is for.
  if (random.chance(0.25)) for (let number = 0; number < HIDDEN_TRANSACTIONS; number++) transactions.push(hidden(random, number));
  const faults = planFaults(seed, randomOf(seed, 'faults'), mayLoseMs);
  if (faults.some(({ kind }) => kind === 'long run'))
    for (let late = 0; late < LATE_TRANSACTIONS; late++) transactions.push({ ...transaction(random), atMs: LATE_MS + random.int(0, 3000) });
  for (const { kind, atMs } of faults)
    if (kind === 'tables copied anew' || kind === 'table copied anew')
      for (let meanwhile = 0; meanwhile < LATE_TRANSACTIONS; meanwhile++)
        transactions.push({ ...transaction(random), atMs: atMs + random.int(0, 2500) });
  return {
    seed,
    replicationType: 'cdc_backfill',
    transactions: transactions.sort((a, b) => a.atMs - b.atMs),
    faults,
    rows: random.int(12, 20),
    targetRows: random.int(3, 5),
    concurrency: random.int(1, 4),
    mayLoseMs,
    isSinkSlow: random.chance(0.2),
    readBytes: random.pick([300, 1500, 1_000_000]),
    twice: SERVICES.filter(() => random.chance(0.2)),
  };
}

function transaction(random: Random): TransactionPlan {
  const statements = Array.from({ length: random.int(1, 4) }, () => statement(random, operation(random)));
  const isLong = random.chance(0.05);
  const roll = random.next();
  return {
    atMs: Math.floor(random.next() * BUSY_MS),
    thinkMs: isLong ? random.int(100, 900) : random.int(0, 8),
    statements,
    ending: roll < 0.06 ? 'rollback' : roll < 0.1 ? 'prepared' : 'commit',
    hiddenMs: random.chance(0.08) ? random.int(5, 400) : random.int(0, 3),
  };
}

/** Inserts a row that nobody touches again, so that it is missed for good where it is missed. */
function hidden(random: Random, number: number): TransactionPlan {
  const inserted: StatementPlan = { kind: 'insert', table: number % 2, key: KEYS + 1 + number, other: 1 };
  const times = { atMs: random.int(0, HIDDEN_MS), thinkMs: random.int(1, 250), hiddenMs: random.int(300, 1500) };
  return { ...times, statements: [inserted], ending: 'commit' };
}

function statement(random: Random, kind: Operation): StatementPlan {
  const key = random.int(1, KEYS);
  return { kind, table: random.chance(0.1) ? 2 : random.int(0, 1), key, other: 1 + ((key + random.int(0, KEYS - 2)) % KEYS) };
}

function operation(random: Random): Operation {
  const roll = random.next();
  if (roll < 0.2) return 'insert';
  if (roll < 0.38) return 'update';
  if (roll < 0.62) return 'touch';
  if (roll < 0.76) return 'delete';
  if (roll < 0.85) return 'key';
  if (roll < 0.9) return 'swap';
  if (roll < 0.94) return 'chain';
  return roll < 0.992 ? 'replace' : 'truncate';
}
