import type { FaultName } from './faults.ts';
import type { ServiceName } from './process.ts';

/** A place where a service waits for a port: it can die there, before the port has done its part or after. */
export interface CrashPoint {
  readonly service: ServiceName;
  /** `port.method` */
  readonly call: string;
  /** When it is met: in the first moments of a pipeline, in its first snapshot, or any time. */
  readonly phase: 'start' | 'snapshot' | 'any';
  /** Met only after something like this. */
  readonly needs?: FaultName;
}

interface Calls {
  readonly any: string;
  readonly start: string;
  readonly snapshot: string;
  readonly after?: Partial<Record<FaultName, string>>;
}

const CALLS: Record<ServiceName, Calls> = {
  planner: {
    any: 'state.get state.list state.put state.lease source.drift source.retention',
    start:
      'state.putAll source.open source.check source.discover source.anchor source.tidy source.fence source.partition sink.open sink.check sink.shows sink.generations bus.ensureTopic bus.topic',
    snapshot: 'source.mark bus.producer bus.producer.send registry.register',
    after: {
      'added and removed': 'state.release',
      resnapshot: 'sink.discard source.drop',
      'source away': 'state.remove',
      'table added': 'source.extend',
      'table taken out': 'source.withdraw',
      'pipeline deleted': 'state.isLeased source.release bus.deleteTopic sink.release',
    },
  },
  worker: {
    any: 'state.lease state.isLeased bus.group.next',
    start: 'bus.ensureTopic bus.group',
    snapshot: 'state.get state.put source.open source.readRange bus.group.done bus.producer bus.producer.send registry.register',
    after: { 'added and removed': 'state.release', 'slow read': 'bus.group.heartbeat' },
  },
  capture: {
    any: 'state.get state.list state.put state.lease source.changes.next bus.producer.send',
    start: 'source.open source.verify source.changes registry.register bus.topic bus.producer',
    snapshot: '',
    after: {
      'added and removed': 'state.release',
      'table taken out': 'source.end',
      'stream broken': 'bus.reader bus.reader.read registry.schema state.remove',
    },
  },
  writer: {
    any: 'state.get state.list state.put state.lease state.isLeased bus.topic bus.reader.read sink.apply',
    start: 'bus.ensureTopic sink.open sink.claimRows',
    snapshot: 'bus.reader registry.register registry.schema sink.stage sink.staged sink.generation sink.generations sink.build sink.claim',
    after: {
      'added and removed': 'state.release',
      'long run': 'bus.trim',
      'table rewritten': 'sink.discard',
      resnapshot: 'sink.switchTo',
      'sink away': 'state.remove',
    },
  },
};

/** All of them; a run that meets one that is not here says so and fails. */
export const POINTS: readonly CrashPoint[] = Object.entries(CALLS).flatMap(([name, { any, start, snapshot, after = {} }]) => {
  const service = name as ServiceName;
  const of = (calls: string, phase: CrashPoint['phase']) => words(calls).map((call) => ({ service, call, phase }));
  const later = Object.entries(after).flatMap(([needs, calls]) =>
    words(calls).map((call) => ({ service, call, phase: 'any' as const, needs: needs as FaultName })),
  );
  return [...of(any, 'any'), ...of(start, 'start'), ...of(snapshot, 'snapshot'), ...later];
});

/** Met where something is quarantined, which no seed has: see quarantine.sim.test.ts. */
export const QUARANTINE_POINTS = ['writer bus.producer', 'writer bus.producer.send'];

/** Met only by a pipeline that copies nothing: see follows.sim.test.ts. */
export const FOLLOW_POINTS = ['writer sink.adopt'];

/** Met only by a query: see queries.sim.test.ts. */
export const QUERY_POINTS = [
  'planner source.queries.describe',
  'planner sink.generation',
  'writer sink.keyFaults',
  'writer sink.merge',
  'writer sink.left',
];

/** Met only by a pipeline that copies once: see copies.sim.test.ts. */
export const COPY_POINTS = ['planner source.openView', 'planner source.view.check', 'planner source.release', 'planner source.end'];

function words(text: string): readonly string[] {
  return text.split(' ').filter((word) => word !== '');
}
