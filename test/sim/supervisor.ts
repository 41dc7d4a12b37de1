import type { Log } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { SimClock } from './clock.ts';
import type { CallFate, Host, ServiceName } from './process.ts';
import { Process } from './process.ts';
import type { Random } from './random.ts';
import type { Engines } from './services.ts';
import { contextOf, RUN } from './services.ts';

/** How long a process that died stays away before a supervisor has started another, at most. */
const AWAY_MS = 1200;
/** A service that ended by an error is started again in its process. */
const AGAIN_MS = 100;
/** After this long the others notice that a process is silent. */
const SESSION_MS = 2500;

/** What a supervisor tells. */
export interface SupervisorParts {
  readonly clock: SimClock;
  readonly random: Random;
  readonly say: (what: string, text?: string) => void;
  readonly violated: (what: string) => void;
  /** What the log of a process goes to. */
  readonly log: (process: Process) => Log;
}

/** Starts the processes of the services, lets them meet their fates, and starts others in their place. */
export class Supervisor implements Host {
  readonly clock: SimClock;
  readonly processes = new Set<Process>();
  /** Decides about each call; set by who plans the faults. */
  fates: (process: Process, call: string) => CallFate | undefined = () => undefined;
  engines: Engines | undefined;
  private readonly parts: SupervisorParts;
  private isOver = false;
  /** Every process that ever was. */
  private readonly started: Process[] = [];

  constructor(parts: SupervisorParts) {
    this.parts = parts;
    this.clock = parts.clock;
  }

  start(service: ServiceName): Process {
    const process = new Process(this, service, `${service}#${this.started.length + 1}`);
    this.started.push(process);
    this.processes.add(process);
    this.parts.say('start', process.name);
    this.supervise(process).catch((error: unknown) => this.violate(`${process.name} cannot be supervised: ${String(error)}`));
    return process;
  }

  /** A process dies, and after a while another one is started. */
  died(process: Process): void {
    if (process.dead) return;
    this.parts.say('dies', process.name);
    this.processes.delete(process);
    process.dead = true;
    process.resume();
    // A connection that is gone is noticed at once or after a while.
    const { random } = this.parts;
    if (random.chance(0.7)) process.cut();
    else this.clock.after(random.next() * SESSION_MS, () => process.cut());
    this.replace(process.service);
  }

  /** A process is told to end, and does in its own time. */
  end(process: Process): void {
    this.parts.say('ends', process.name);
    process.ending.abort();
    this.replace(process.service);
  }

  /** A process does nothing for a while, and goes on then. */
  stop(process: Process, forMs: number): void {
    this.parts.say('stopped', process.name);
    process.stop();
    this.clock.after(SESSION_MS, () => process.isStopped && process.cut());
    this.clock.after(forMs, () => {
      this.parts.say('resumed', process.name);
      process.resume();
    });
  }

  /** The process of a service that works, if there is one. */
  living(service: ServiceName): Process | undefined {
    return [...this.processes].find((one) => one.service === service && !one.isStopped && !one.ending.signal.aborted);
  }

  /** Ends everything; nothing goes on. Signals that never abort would keep what listens to them for ever, also of processes long dead. */
  close(): void {
    this.isOver = true;
    for (const process of this.started) process.dead = true;
    for (const process of this.started) process.ending.abort();
  }

  after(ms: number, wake: () => void): void {
    this.clock.after(ms, wake);
  }

  /** Some answers come at once, most soon, a few very late: so any order of calls that do not wait for one another happens. */
  travel(): Promise<void> {
    const { random } = this.parts;
    const draw = random.next();
    if (draw < 0.2) return Promise.resolve();
    return this.clock.sleep(draw < 0.97 ? draw * draw * draw * 3 : random.next() * 120);
  }

  fateOf(process: Process, call: string): CallFate | undefined {
    return this.fates(process, call);
  }

  violate(what: string): void {
    this.parts.violated(what);
  }

  private replace(service: ServiceName): void {
    this.clock.after(this.parts.random.next() * AWAY_MS, () => {
      if (!this.isOver && this.living(service) === undefined) this.start(service);
    });
  }

  private async supervise(process: Process): Promise<void> {
    const { engines } = this;
    if (engines === undefined) throw new Error('a process is started before there is anything to run on');
    while (!process.ending.signal.aborted && !process.dead) {
      try {
        await RUN[process.service](contextOf(process, engines, this.parts.log(process)));
      } catch (error) {
        if (!(error instanceof PipelineError) || error.retry !== 'timed')
          this.violate(`${process.name} ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
      await this.clock.sleep(AGAIN_MS);
    }
    this.processes.delete(process);
  }
}
