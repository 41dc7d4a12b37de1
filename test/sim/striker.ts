import type { PipelineCommand, TableId } from '@nanosync/core';
import { isKind } from '@nanosync/core';
import { forgetDone } from './bus-losses.ts';
import type { Fault } from './faults.ts';
import { nameOf } from './faults.ts';
import type { Occurrences } from './occurrences.ts';
import { TABLES, TAKEN_OUT } from './plan.ts';
import { COPY_POINTS, FOLLOW_POINTS, POINTS, QUARANTINE_POINTS, QUERY_POINTS } from './points.ts';
import type { CallFate, Process, ServiceName } from './process.ts';
import { tableId } from './workload.ts';
import type { World } from './world.ts';

/** How often a table that is locked is tried to be rewritten, and how long between. */
const REWRITE_TRIES = 40;
const REWRITE_AGAIN_MS = 25;
/** Tasks of each bus partition that a group hands out again. */
const FORGOTTEN_TASKS = 3;
/** Nobody reaches a bus for so long while it is put back. */
const RESTORE_MS = 400;
/** How long a crash waits for its call before the system may be found quiet. */
const CALL_WAIT_MS = 12_000;

/** Lets the faults of a plan happen at their times, and counts those that did. */
export class Striker {
  /** Faults of these kinds have happened. */
  readonly struck: Fault[] = [];
  private readonly world: World;
  private readonly occurrences: Occurrences;
  /** Faults of calls whose time has come, waiting for a call that they fit. */
  private armed: Fault[] = [];
  private readonly away = new Map<string, number>();
  private readonly known = new Set([
    ...POINTS.map(({ service, call }) => `${service} ${call}`),
    ...QUARANTINE_POINTS,
    ...COPY_POINTS,
    ...FOLLOW_POINTS,
    ...QUERY_POINTS,
  ]);
  private pending = 0;

  constructor(world: World, occurrences: Occurrences) {
    this.world = world;
    this.occurrences = occurrences;
    world.supervisor.fates = (process, call) => this.fateOf(process, call);
  }

  start(faults: readonly Fault[]): void {
    for (const fault of faults) {
      this.pending++;
      if (fault.onPhase === undefined) this.world.clock.after(fault.atMs, () => this.begin(fault));
      else this.world.onPhase(fault.onPhase, () => this.begin(fault));
    }
  }

  /** Everything planned has happened, apart from what has waited long for a call that may never come. */
  get isOver(): boolean {
    const nowMs = this.world.clock.monotonicMs();
    if (this.armed.some(({ kind, atMs }) => kind === 'crash' && nowMs - atMs < CALL_WAIT_MS)) return false;
    return this.pending === 0 && [...this.away.values()].every((untilMs) => untilMs <= nowMs);
  }

  private happened(fault: Fault): void {
    this.struck.push(fault);
    this.occurrences.count('fault', nameOf(fault));
    this.world.say('FAULT', JSON.stringify(fault));
  }

  private begin(fault: Fault): void {
    const { world } = this;
    const forMs = 'forMs' in fault ? fault.forMs : 0;
    world.clock.after(forMs + 1, () => {
      this.pending--;
    });
    switch (fault.kind) {
      case 'crash':
      case 'call refused':
      case 'reply lost':
      case 'reply late':
      case 'zombie statement':
      case 'slow read':
        this.armed.push(fault);
        return;
      case 'killed':
        return this.withProcess(fault.service, fault, (process) => world.supervisor.died(process));
      case 'paused':
        return this.withProcess(fault.service, fault, (process) => {
          world.supervisor.stop(process, fault.forMs);
          if (fault.isReplaced) world.clock.after(300, () => world.supervisor.start(fault.service));
        });
      case 'added and removed': {
        this.happened(fault);
        const first = world.supervisor.living(fault.service);
        world.supervisor.start(fault.service);
        world.clock.after(fault.forMs, () => first && world.supervisor.end(first));
        return;
      }
      case 'away':
        this.happened(fault);
        this.away.set(fault.port, world.clock.monotonicMs() + fault.forMs);
        if (fault.port !== 'source') return;
        world.db.away = true;
        world.clock.after(fault.forMs, () => {
          world.db.away = false;
        });
        return;
      case 'rebalance':
        return this.withProcess('worker', fault, (process) => process.cutGroups());
      case 'delivered again':
        if (forgetDone(world.busStore, FORGOTTEN_TASKS)) this.happened(fault);
        return;
      default:
        return this.disturb(fault);
    }
  }

  private disturb(fault: Fault): void {
    const { world } = this;
    switch (fault.kind) {
      case 'state rewound as it said':
        if (world.plan.mayLoseMs === 0) return;
        this.happened(fault);
        return world.rewindState(fault.byMs);
      case 'state rewound further':
        this.happened(fault);
        return world.rewindState(fault.byMs);
      case 'state wiped':
        this.happened(fault);
        return world.wipeState();
      case 'bus restored':
        this.happened(fault);
        for (const port of ['bus', 'registry']) this.away.set(port, world.clock.monotonicMs() + RESTORE_MS);
        return world.restoreBus(fault.byMs);
      case 'topic lost':
        this.happened(fault);
        return world.loseTopic();
      case 'warehouse lost':
        this.happened(fault);
        return world.loseWarehouse();
      case 'slot lost':
        if (world.db.slot === undefined) return;
        this.happened(fault);
        return world.db.dropSlot();
      case 'table rewritten':
        return this.rewrite(fault, fault.table, REWRITE_TRIES);
      case 'table vacuumed':
        this.happened(fault);
        return world.db.vacuum(tableId(fault.table));
      case 'stream broken':
        this.happened(fault);
        return world.db.breakStream();
      case 'view lost':
        if (world.db.views.snapshots.length === 0) return;
        this.happened(fault);
        return world.db.views.loseAll();
      case 'source restarted':
        this.happened(fault);
        return world.db.restart();
      case 'long run':
        return this.happened(fault);
      case 'resnapshot':
        this.happened(fault);
        world.requestResnapshot().catch((error: unknown) => world.violate(String(error)));
        return;
      case 'pipeline paused':
      case 'sink paused': {
        this.happened(fault);
        const part = fault.kind === 'sink paused' ? 'sink' : 'pipeline';
        this.ask({ kind: 'pause', part });
        return world.clock.after(fault.forMs, () => this.ask({ kind: 'resume', part }));
      }
      case 'tables copied anew':
      case 'table copied anew':
        return this.copyAnew(fault, fault.kind === 'table copied anew' ? tableId(fault.table) : null);
      case 'copy stopped':
        this.pending++;
        return world.clock.after(fault.inMs, () => {
          this.pending--;
          this.happened(fault);
          this.retype('cdc');
          if (fault.backMs !== undefined) world.clock.after(fault.backMs, () => this.retype('cdc_backfill'));
        });
      case 'pipeline deleted':
        this.happened(fault);
        return this.ask({ kind: 'delete', dropTables: fault.dropTables });
      case 'type switched':
        this.happened(fault);
        world.type = fault.to;
        return this.apply();
      case 'query run asked':
        this.happened(fault);
        return this.ask({ kind: 'run' });
      case 'columns edited':
        this.happened(fault);
        if (!world.keptBack.delete(tableId(fault.table))) world.keptBack.add(tableId(fault.table));
        return this.apply();
      case 'table added':
        this.happened(fault);
        return this.edit(() => TABLES.map((_, table) => table));
      case 'table taken out': {
        this.happened(fault);
        this.edit((tables) => tables.filter((table) => table !== TAKEN_OUT));
        if (!fault.isForGood) world.clock.after(fault.forMs, () => this.edit((tables) => [...new Set([...tables, TAKEN_OUT])].sort()));
        return;
      }
    }
  }

  /** What an operator writes into the file, and applies. */
  private edit(next: (tables: readonly number[]) => readonly number[]): void {
    const { world } = this;
    world.file = next(world.file);
    this.apply();
  }

  private apply(): void {
    const { world } = this;
    world.apply().catch((error: unknown) => world.violate(String(error)));
  }

  private retype(type: 'cdc' | 'cdc_backfill'): void {
    const { world } = this;
    world.type = type;
    world.apply().catch((error: unknown) => world.violate(String(error)));
  }

  private ask(command: PipelineCommand): void {
    this.world.ask(command).catch((error: unknown) => {
      // What is being deleted can be asked nothing else.
      if (!isKind(error, 'config')) this.world.violate(String(error));
    });
  }

  /** What an operator asks for; where the pipeline cannot be asked now, nothing happens. */
  private copyAnew(fault: Fault, table: TableId | null): void {
    const { world } = this;
    world.ask({ kind: 'resnapshot', table }).then(
      (isAsked) => isAsked && this.happened(fault),
      (error: unknown) => world.violate(String(error)),
    );
  }

  private rewrite(fault: Fault, table: number, tries: number): void {
    if (this.world.db.rewrite(tableId(table))) this.happened(fault);
    else if (tries > 0) this.world.clock.after(REWRITE_AGAIN_MS, () => this.rewrite(fault, table, tries - 1));
  }

  private withProcess(service: ServiceName, fault: Fault, act: (process: Process) => void): void {
    const process = this.world.supervisor.living(service);
    if (process === undefined) return;
    this.happened(fault);
    act(process);
  }

  private fateOf(called: Process, call: string): CallFate | undefined {
    const { service } = called;
    const place = `${service} ${call}`;
    if (!this.known.has(place)) {
      this.known.add(place);
      this.world.violate(`points.ts does not know that ${place} is called`);
    }
    const port = call.slice(0, call.indexOf('.'));
    if ((this.away.get(port) ?? 0) > this.world.clock.monotonicMs()) return { kind: 'refuse' };
    const fault = this.armed.find((one) => fits(one, service, call, port));
    if (fault === undefined) return undefined;
    this.armed = this.armed.filter((one) => one !== fault);
    this.happened(fault);
    if (fault.kind === 'crash') this.occurrences.count('crash', `${place} ${fault.when}`);
    return fateBy(fault);
  }
}

function fits(fault: Fault, service: ServiceName, call: string, port: string): boolean {
  switch (fault.kind) {
    case 'crash':
      return fault.service === service && fault.call === call;
    case 'call refused':
    case 'reply lost':
      return fault.port === port && (fault.service ?? service) === service;
    case 'reply late':
      return fault.port === port;
    case 'zombie statement':
      return fault.call === call;
    case 'slow read':
      return call === 'source.readRange';
    default:
      return false;
  }
}

function fateBy(fault: Fault): CallFate | undefined {
  switch (fault.kind) {
    case 'crash':
      return { kind: fault.when };
    case 'call refused':
      return { kind: 'refuse' };
    case 'reply lost':
      return { kind: 'lost' };
    case 'reply late':
    case 'slow read':
      return { kind: 'late', byMs: fault.byMs, ownerDies: false };
    case 'zombie statement':
      return { kind: 'late', byMs: fault.byMs, ownerDies: true };
    default:
      return undefined;
  }
}
