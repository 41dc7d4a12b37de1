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
  {
    what: 'a row went for a moment from what users see of a table that is copied anew: an update that lacked a cell of it, and was met when it was gone, came as its delete',
    plan: {
      seed: 787,
      replicationType: 'cdc_backfill',
      transactions: [
        { atMs: 275, thinkMs: 44, hiddenMs: 412, statements: [], ending: 'commit' },
        { atMs: 3427, thinkMs: 7, statements: [{ kind: 'touch', table: 1, key: 6, other: 2 }], ending: 'commit', hiddenMs: 0 },
        { atMs: 4284, thinkMs: 1, statements: [{ kind: 'update', table: 1, key: 6, other: 20 }], ending: 'commit', hiddenMs: 0 },
        { atMs: 7077, thinkMs: 7, statements: [{ kind: 'chain', table: 1, key: 6, other: 14 }], ending: 'commit', hiddenMs: 1 },
      ],
      faults: [
        { kind: 'crash', service: 'capture', call: 'state.put', when: 'before', atMs: 2113 },
        { kind: 'pipeline paused', atMs: 4959, forMs: 3468, onPhase: 'streaming' },
        { kind: 'tables copied anew', atMs: 5779 },
      ],
      rows: 14,
      targetRows: 4,
      concurrency: 4,
      mayLoseMs: 0,
      isSinkSlow: false,
      readBytes: 300,
      twice: [],
    },
  },
];
