import type { Plan } from './plan.ts';

/** Something that a seed found, with the plan that it was shrunk to. */
export interface Regression {
  /** What was wrong. */
  readonly what: string;
  readonly plan: Plan;
}

/** Plans that went wrong once. */
export const REGRESSIONS: readonly Regression[] = [
  {
    what: 'the planner ended for good when the state store lost the ranges of a plan that it had just stored',
    plan: {
      replicationType: 'cdc_backfill',
      seed: 1,
      transactions: [],
      faults: [{ kind: 'state rewound further', atMs: 747, byMs: 800 }],
      rows: 18,
      targetRows: 5,
      concurrency: 4,
      mayLoseMs: 0,
      readBytes: 1_000_000,
      isSinkSlow: false,
      twice: ['planner'],
    },
  },
  {
    what: 'a sink-writer that was stopped for long told a watermark that another one had passed',
    plan: {
      replicationType: 'cdc_backfill',
      seed: 10,
      transactions: [
        { atMs: 1207, thinkMs: 2, statements: [], ending: 'commit', hiddenMs: 1 },
        { atMs: 1425, thinkMs: 6, statements: [], ending: 'commit', hiddenMs: 2 },
      ],
      faults: [{ kind: 'paused', service: 'writer', forMs: 7000, isReplaced: true, atMs: 3364 }],
      rows: 17,
      targetRows: 3,
      concurrency: 2,
      mayLoseMs: 1500,
      readBytes: 1_000_000,
      isSinkSlow: true,
      twice: ['planner'],
    },
  },
  {
    what: 'a planner that was stopped while it anchored took the slot of the anchor that another one had stored meanwhile, and what was staged under it',
    plan: {
      replicationType: 'cdc_backfill',
      seed: 449,
      transactions: [],
      faults: [
        { kind: 'resnapshot', atMs: 429 },
        { kind: 'paused', service: 'planner', forMs: 5931, isReplaced: true, atMs: 447 },
        { kind: 'reply late', port: 'state', byMs: 6380, atMs: 531 },
      ],
      rows: 12,
      targetRows: 4,
      concurrency: 2,
      mayLoseMs: 0,
      readBytes: 1_000_000,
      isSinkSlow: false,
      twice: [],
    },
  },
];
