import type { ServiceName } from './process.ts';

/** A port, as far as faults go. */
export type PortName = 'state' | 'bus' | 'registry' | 'sink' | 'source';

/** Something that goes wrong, or is done, at a virtual time. */
export type Fault = {
  readonly atMs: number;
  /** Not before the pipeline is seen in this phase. */
  readonly onPhase?: 'anchored' | 'snapshotting' | 'streaming';
} & (
  | { readonly kind: 'crash'; readonly service: ServiceName; readonly call: string; readonly when: 'before' | 'after' }
  /** One call of a port, by any service or this one, fails: `refused`, nothing was done, or `reply lost`, it was done. */
  | { readonly kind: 'call refused' | 'reply lost'; readonly port: PortName; readonly service?: ServiceName }
  /** One call hangs for long, and is done then. */
  | { readonly kind: 'reply late'; readonly port: PortName; readonly byMs: number }
  /** A port answers nobody. */
  | { readonly kind: 'away'; readonly port: PortName; readonly forMs: number }
  /** A statement of the sink runs long after its owner is gone. */
  | { readonly kind: 'zombie statement'; readonly call: string; readonly byMs: number }
  /** A range is read so slowly that the reader has to say that it lives. */
  | { readonly kind: 'slow read'; readonly byMs: number }
  | { readonly kind: 'killed'; readonly service: ServiceName }
  /** Stopped beyond its leases, mostly with another one beside it, and resumed. */
  | { readonly kind: 'paused'; readonly service: ServiceName; readonly forMs: number; readonly isReplaced: boolean }
  /** A second process of a service comes, and after a while the first one ends. */
  | { readonly kind: 'added and removed'; readonly service: ServiceName; readonly forMs: number }
  /** `rebalance`: the group hands a worker's tasks to others while it works on. `delivered again`: the group has forgotten what it had done. */
  | { readonly kind: 'rebalance' | 'delivered again' }
  | { readonly kind: 'state rewound as it said' | 'state rewound further' | 'bus restored'; readonly byMs: number }
  | { readonly kind: 'state wiped' | 'topic lost' | 'warehouse lost' | 'slot lost' }
  | { readonly kind: 'table rewritten' | 'table vacuumed'; readonly table: number }
  | { readonly kind: 'stream broken' | 'source restarted' }
  /** Somebody ends the session that holds a view. Only where there is one: no seed of a pipeline that follows changes has it. */
  | { readonly kind: 'view lost' }
  /** What operators do. */
  | { readonly kind: 'resnapshot' | 'table added' | 'tables copied anew' }
  | { readonly kind: 'table copied anew'; readonly table: number }
  /** The file says `cdc`, so long after its time or phase, and after a while perhaps `cdc_backfill` again. */
  | { readonly kind: 'copy stopped'; readonly inMs: number; readonly backMs?: number }
  /** For so long, or for good: then its rows stay as they were. */
  | { readonly kind: 'table taken out'; readonly forMs: number; readonly isForGood: boolean }
  /** Once it is gone the file is applied again. */
  | { readonly kind: 'pipeline deleted'; readonly dropTables: boolean }
  | { readonly kind: 'pipeline paused' | 'sink paused'; readonly forMs: number }
  /** Another type is written into the file; where `apply` refuses it, the old one is put back. Only in the seeds of switches. */
  | { readonly kind: 'type switched'; readonly to: 'cdc_backfill' | 'cdc' | 'snapshot' }
  /** Somebody has a query run before its time. Only in the seeds of queries. */
  | { readonly kind: 'query run asked' }
  /** The large column of a table is kept back from now on, or no more. Only in the seeds of columns. */
  | { readonly kind: 'columns edited'; readonly table: number }
  /** Nothing breaks, but there is work long after the snapshot, when topics are trimmed. */
  | { readonly kind: 'long run' }
);

export type FaultKind = Fault['kind'];

/** Ports whose calls can fail. */
export const PORTS: readonly PortName[] = ['state', 'bus', 'registry', 'sink', 'source'];
const PORT_KINDS = ['call refused', 'reply lost', 'reply late', 'away'] as const;

/** A fault as the table of occurrences calls it: its kind, with its port where there are several. */
export type FaultName = Exclude<FaultKind, (typeof PORT_KINDS)[number]> | `${PortName} ${(typeof PORT_KINDS)[number]}`;

/** The name of a fault. */
export function nameOf(fault: Fault): FaultName {
  return 'port' in fault ? (`${fault.port} ${fault.kind}` as FaultName) : fault.kind;
}

/** All names but that of a crash, which is planned by its place. */
export const FAULT_NAMES: readonly FaultName[] = [
  ...(['killed', 'paused', 'added and removed', 'zombie statement', 'slow read', 'rebalance', 'delivered again'] as const),
  ...PORTS.flatMap((port) => PORT_KINDS.map((kind) => `${port} ${kind}` as const)),
  ...([
    'state rewound as it said',
    'state rewound further',
    'state wiped',
    'bus restored',
    'topic lost',
    'warehouse lost',
    'slot lost',
  ] as const),
  ...([
    'table rewritten',
    'table vacuumed',
    'stream broken',
    'source restarted',
    'resnapshot',
    'table added',
    'table taken out',
    'tables copied anew',
    'table copied anew',
    'pipeline paused',
    'pipeline deleted',
    'sink paused',
    'long run',
  ] as const),
];

const LOST_MESSAGES = [
  /holds offsets/,
  /lost its newest/,
  /no longer has the last applied/,
  /has lost the generation event/,
  /neither at the sink nor on the bus/,
];

/** Processes and ports that do nothing for long, and then do what they had begun: they may read and write although that is not wanted any more. */
export const SLUGGISH: readonly FaultKind[] = [
  'paused',
  'zombie statement',
  'slow read',
  'reply late',
  'away',
  'state rewound as it said',
  'state rewound further',
];

/** A reason for which a pipeline may have failed: of a fault, where it is told after something else that had happened. */
export interface Explanation {
  readonly fault: FaultKind;
  /** One of these has happened; `repaired`: the command that an earlier failure named was run. Absent: nothing need have. */
  readonly after?: readonly (FaultKind | 'repaired')[];
  readonly reasons: readonly RegExp[];
}

const COPIED_AGAIN = ['resnapshot', 'type switched', 'copy stopped', 'repaired'] as const;
/** What a store that goes back to before it says of slots, topics and rows that are gone. */
const ANYTHING = [/^/];

/** All of them: for any other reason a pipeline must not fail. */
export const EXPLANATIONS: readonly Explanation[] = [
  // The anchor itself, while it is that young.
  { fault: 'state rewound as it said', reasons: [/does not know/, /followed changes before/] },
  {
    fault: 'state rewound further',
    reasons: [
      /followed changes before/,
      /beyond what is published/,
      /does not know/,
      /neither at the sink nor on the bus/,
      /The state store has/,
      /lost which rows are missing/,
    ],
  },
  { fault: 'state wiped', reasons: [/does not know/] },
  { fault: 'bus restored', reasons: LOST_MESSAGES },
  { fault: 'topic lost', reasons: [...LOST_MESSAGES, /is gone/, /created anew/] },
  { fault: 'slot lost', reasons: [/slot no longer exists/, /slot is gone/] },
  // A store that lost the beginning of a resnapshot goes back to an anchor whose slot was dropped then.
  ...(['state rewound as it said', 'state rewound further'] as const).map((fault) => ({
    ...{ fault, after: COPIED_AGAIN, reasons: [/slot no longer exists/] },
  })),
  // One that lost more than it says it may lose has the table again that the source streams no more, and whose topic is gone.
  { fault: 'state rewound further', after: ['table taken out'], reasons: [/does not publish the table/, /is not on the bus/] },
  ...(['state rewound as it said', 'state rewound further', 'state wiped', 'bus restored'] as const).map((fault) => ({
    ...{ fault, after: ['pipeline deleted'] as const, reasons: ANYTHING },
  })),
];
