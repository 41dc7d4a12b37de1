import type { Fault, FaultName, PortName } from './faults.ts';
import { FAULT_NAMES } from './faults.ts';
import type { CrashPoint } from './points.ts';
import { POINTS } from './points.ts';
import { SERVICES } from './process.ts';
import type { Random } from './random.ts';

/** The virtual time in which faults come. */
const FAULTY_MS = 5000;
/** Until when crashes come at places of each phase. Some come at the first call instead. */
const WITHIN_MS = { start: 400, snapshot: 1200, any: FAULTY_MS } as const;
const FIRST_MS = 700;
/** When the work of a long run comes. */
export const LATE_MS = 60_500;
/** When tables that are mostly live are copied anew. */
const COPY_MS = [4000, 9000] as const;
const SINK_WRITES = ['stage', 'apply', 'build', 'switchTo', 'discard', 'claim', 'claimRows'];

/**
 * The faults of a seed: two crashes, each at one place, one other fault, and now and then one more of any kind. Places and the other fault go by
 * the seed's number, so that a run of consecutive seeds has them all.
 */
export function planFaults(seed: number, random: Random, mayLoseMs: number): readonly Fault[] {
  const faults: Fault[] = [faultOf(FAULT_NAMES[seed % FAULT_NAMES.length] as FaultName, random, mayLoseMs)];
  for (const isBackward of [false, true]) faults.push(...crashOf(seed, isBackward, random, mayLoseMs));
  if (random.chance(0.2)) faults.push(faultOf(random.chance(0.6) ? 'pipeline paused' : 'sink paused', random, mayLoseMs));
  // Copies beside the stream meet what happens while a table is live, and one another.
  if (random.chance(0.35))
    faults.push({
      ...faultOf(random.chance(0.5) ? 'tables copied anew' : 'table copied anew', random, mayLoseMs),
      atMs: random.int(...COPY_MS),
    });
  while (random.chance(0.25)) faults.push(faultOf(random.pick(FAULT_NAMES), random, mayLoseMs));
  return faults.sort((a, b) => a.atMs - b.atMs);
}

/**
 * A crash of a seed, with what makes its place be met. One goes through all places forward and one backward, each round a little further, so that
 * no place always has the same other one beside it, which may keep it from being met.
 */
function crashOf(seed: number, isBackward: boolean, random: Random, mayLoseMs: number): readonly Fault[] {
  const round = Math.floor(seed / POINTS.length);
  const forward = seed % POINTS.length;
  const point = POINTS[isBackward ? (POINTS.length - 1 - forward + round * 7) % POINTS.length : forward] as CrashPoint;
  const when = (round % 2 === 0) === isBackward ? 'after' : 'before';
  const crash = { kind: 'crash', service: point.service, call: point.call, when } as const;
  if (point.needs === undefined) {
    const isFirst = point.phase !== 'any' && round % 4 < 2;
    return [{ ...crash, atMs: isFirst ? 0 : random.int(0, WITHIN_MS[point.phase]) }];
  }
  const needed = neededBy(point, faultOf(point.needs, random, mayLoseMs), random);
  // A sink-writer takes back what it told once it has run for a while, which must come before the end of the run.
  const late: readonly Fault[] = point.service === 'writer' && point.call === 'state.remove' ? [{ kind: 'long run', atMs: LATE_MS }] : [];
  return [needed, { ...crash, atMs: needed.atMs }, ...late];
}

/** The fault that makes a place be met, so that it is. */
function neededBy({ service, call }: CrashPoint, fault: Fault, random: Random): Fault {
  if (fault.kind === 'added and removed') return { ...fault, service };
  if (fault.kind === 'resnapshot' && call === 'sink.switchTo') return { kind: 'resnapshot', atMs: random.int(3000, FAULTY_MS) };
  if (fault.kind === 'away') return { ...fault, forMs: fault.forMs + 2000 }; // Long enough to be told of, and taken back.
  if (fault.kind === 'table rewritten') return { ...fault, atMs: random.int(500, 900) };
  return fault;
}

function faultOf(name: FaultName, random: Random, mayLoseMs: number): Fault {
  // The first moments are short, and much is decided in them.
  if ((name === 'resnapshot' || name === 'slot lost') && random.chance(0.25)) return { kind: name, atMs: 0, onPhase: 'anchored' };
  if (name === 'slot lost' && random.chance(0.4)) return { kind: name, atMs: 500, onPhase: 'streaming' };
  const atMs = random.chance(0.2) ? random.int(20, FIRST_MS) : random.int(20, FAULTY_MS);
  switch (name) {
    case 'crash':
      throw new Error('a crash is planned by its place');
    case 'zombie statement':
      return { kind: name, atMs, call: `sink.${random.pick(SINK_WRITES)}`, byMs: random.int(500, 12_000) };
    case 'slow read':
      return { kind: name, atMs: random.int(0, 1000), byMs: random.int(3500, 9000) };
    case 'killed':
      return { kind: name, atMs, service: random.pick(SERVICES) };
    case 'paused':
      return { kind: name, atMs, service: random.pick(SERVICES), forMs: random.int(3500, 12_000), isReplaced: random.chance(0.8) };
    case 'added and removed':
      return { kind: name, atMs, service: random.pick(SERVICES), forMs: random.int(200, 6000) };
    case 'state rewound as it said':
      return { kind: name, atMs, byMs: random.int(1, Math.max(1, mayLoseMs)) };
    case 'state rewound further':
      return { kind: name, atMs, byMs: mayLoseMs + random.int(1, 3000) };
    case 'bus restored':
      return { kind: name, atMs, byMs: random.int(1, 1000) };
    case 'table rewritten':
    case 'table vacuumed':
    case 'table copied anew':
      return { kind: name, atMs, table: random.int(0, 1) };
    case 'long run':
      return { kind: name, atMs: LATE_MS };
    case 'pipeline paused':
      return {
        kind: name,
        atMs: random.chance(0.15) ? 0 : atMs,
        forMs: random.int(random.chance(0.2) ? 30 : 600, 6000),
        ...onPhase(random),
      };
    case 'pipeline deleted':
      return { kind: name, atMs, dropTables: random.chance(0.4), ...onPhase(random) };
    case 'table taken out':
      return { kind: name, atMs, forMs: random.int(30, 6000), isForGood: random.chance(0.4), ...onPhase(random) };
    case 'sink paused':
      return { kind: name, atMs, forMs: random.int(30, 6000) };
    default:
      return portFault(name, atMs, random);
  }
}

/** The first moments are short, and the last ones come late: some pauses wait for them. */
function onPhase(random: Random): Pick<Fault, 'onPhase'> {
  const roll = random.next();
  return roll < 0.2 ? { onPhase: 'anchored' } : roll < 0.5 ? { onPhase: 'streaming' } : {};
}

/** A fault of one port, or one that needs to say nothing. */
function portFault(name: FaultName, atMs: number, random: Random): Fault {
  const port = name.slice(0, name.indexOf(' ')) as PortName;
  const kind = name.slice(port.length + 1);
  switch (kind) {
    case 'call refused':
    case 'reply lost':
      return { kind, atMs, port };
    case 'reply late':
      return { kind, atMs, port, byMs: random.int(500, 12_000) };
    case 'away':
      return { kind, atMs, port, forMs: random.int(50, 4000) };
    default:
      return { kind: name, atMs } as Fault;
  }
}
