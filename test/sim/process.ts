import type { Clock } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { Held } from './held.ts';

/** The services, as the simulation names their processes. */
export const SERVICES = ['planner', 'worker', 'capture', 'writer'] as const;
export type ServiceName = (typeof SERVICES)[number];

/** One place where a service waits: a method of a port that it calls. */
export interface Point {
  readonly service: ServiceName;
  /** `port.method` */
  readonly call: string;
}

/**
 * What happens to one call. `before`: the process dies, nothing was asked. `after`: it dies, the call was done. `refuse`: the call fails,
 * nothing was done. `lost`: the call was done, and fails. `late`: the call is done so much later, and its process hears nothing until then.
 */
export type CallFate =
  | { readonly kind: 'before' | 'after' | 'refuse' | 'lost' }
  | { readonly kind: 'late'; readonly byMs: number; readonly ownerDies: boolean };

/** What a process asks the world about. */
export interface Host {
  readonly clock: Clock;
  after(ms: number, wake: () => void): void;
  /** A request or an answer is on its way. */
  travel(): Promise<void>;
  /** Decides about a call that is about to be made. */
  fateOf(process: Process, call: string): CallFate | undefined;
  /** Something is as it must never be. */
  violate(what: string): void;
  /** A process died by its fate. */
  died(process: Process): void;
}

/** A promise that never settles: what code of a dead process waits for. A new one each time, or one would keep all that ever waited. */
function never(): Promise<never> {
  return new Promise(() => {});
}

/**
 * A simulated process: it meets its fate at calls of ports. A killed one does nothing more, not even clean up, while what it had asked for
 * may still be done; a stopped one goes on later as if no time had passed.
 */
export class Process {
  readonly service: ServiceName;
  readonly name: string;
  readonly ending = new AbortController();
  readonly held: Held;
  dead = false;
  private readonly host: Host;
  private readonly cuts = new Set<() => void>();
  private readonly groups = new Set<() => void>();
  private stopped: Promise<void> | undefined;
  private goOn: () => void = () => {};

  constructor(host: Host, service: ServiceName, name: string) {
    this.host = host;
    this.service = service;
    this.name = name;
    this.held = new Held(service, (what) => host.violate(what));
  }

  get isStopped(): boolean {
    return this.stopped !== undefined;
  }

  /** Something that others notice when this process is gone. */
  onCut(cut: () => void): void {
    if (this.dead) cut();
    else this.cuts.add(cut);
  }

  /** How it is taken out of a group that shares a topic. */
  onCutGroup(cut: () => void): void {
    this.groups.add(cut);
    this.onCut(cut);
  }

  /** The group gives what this process has to others; the process does not know it yet. */
  cutGroups(): void {
    for (const cut of this.groups) cut();
    this.groups.clear();
  }

  /** Its connections end, as they do when it is gone or silent for too long. */
  cut(): void {
    const cuts = [...this.cuts];
    this.cuts.clear();
    for (const cut of cuts) cut();
  }

  stop(): void {
    this.stopped ??= new Promise((resolve) => {
      this.goOn = resolve;
    });
  }

  resume(): void {
    this.stopped = undefined;
    this.goOn();
  }

  /** Makes one call of a port under this process's fate. What was asked is done whatever becomes of the process meanwhile. */
  async through<T>(call: string, made: () => Promise<T>): Promise<T> {
    await this.running();
    const fate = this.host.fateOf(this, call);
    switch (fate?.kind) {
      case 'before':
        return this.die();
      case 'refuse':
        await this.host.travel();
        await this.running();
        throw away();
      case 'late':
        if (fate.ownerDies) this.host.after(50, () => this.dead || this.host.died(this));
        await this.host.clock.sleep(fate.byMs);
        break;
      default:
        await this.host.travel();
    }
    const outcome = await outcomeOf(made);
    if (fate?.kind === 'after') return this.die();
    await this.host.travel();
    await this.running();
    if (fate?.kind === 'lost') throw away();
    if (outcome.failed) throw outcome.error;
    return outcome.value as T;
  }

  /** Returns while the process runs; waits while it is stopped, for ever when it is dead. */
  async running(): Promise<void> {
    while (this.stopped !== undefined && !this.dead) await this.stopped;
    if (this.dead) await never();
  }

  /** The clock as this process has it: a dead one's sleeps never end, a stopped one's end later. */
  clock(): Clock {
    const { clock } = this.host;
    return {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      sleep: async (ms, signal) => {
        await clock.sleep(ms, signal);
        await this.running();
      },
    };
  }

  private die(): Promise<never> {
    this.host.died(this);
    return never();
  }
}

function away(): PipelineError {
  return new PipelineError('unavailable', 'The simulation lets this call fail.');
}

async function outcomeOf<T>(made: () => Promise<T>): Promise<{ failed: boolean; value?: T; error?: unknown }> {
  try {
    return { failed: false, value: await made() };
  } catch (error) {
    return { failed: true, error };
  }
}
