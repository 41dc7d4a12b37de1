import type { Bus, GroupMember, PartitionReader, Producer, Registry, ServiceContext, Sink, Source, State } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';

/** Where a simulated process meets its fate: at its Nth call of any port. */
export interface Fate {
  readonly call: number;
  /**
   * `before`: killed, nothing was done. `after`: killed, the call was done and its answer is lost. `pause`: stopped for a while.
   * `refuse`: the call fails, nothing was done. `lost`: the call was done, and fails.
   */
  readonly kind: 'before' | 'after' | 'pause' | 'refuse' | 'lost';
}

/** A promise that never settles: what code of a dead process waits for. */
const NEVER = new Promise<never>(() => {});

/**
 * A simulated process: its calls of ports are counted, and at the chosen one it is killed or stopped. A killed process does
 * nothing more, not even clean up; a stopped one goes on later as if no time had passed.
 */
export class Process {
  calls = 0;
  dead = false;
  /** Called when fate struck: the world closes the process's connections. */
  onFate: () => void = () => {};
  struck = false;
  private readonly fate: Fate | undefined;
  private stopped: Promise<void> | undefined;
  private goOn: () => void = () => {};

  constructor(fate?: Fate) {
    this.fate = fate;
  }

  kill(): void {
    this.dead = true;
  }

  resume(): void {
    this.stopped = undefined;
    this.goOn();
  }

  /** Runs one call of a port under this process's fate. */
  async through<T>(call: () => Promise<T>): Promise<T> {
    if (this.dead) return NEVER;
    this.calls++;
    const fated = this.fate !== undefined && this.calls === this.fate.call ? this.fate.kind : undefined;
    if (fated === 'pause') this.stop();
    if (fated === 'refuse') throw away();
    if (fated === 'before') return this.die();
    while (this.stopped !== undefined) await this.stopped;
    if (this.dead) return NEVER;
    const outcome = await settled(call);
    if (fated === 'after') return this.die();
    if (fated === 'lost') throw away();
    while (this.stopped !== undefined) await this.stopped;
    if (this.dead) return NEVER;
    if (outcome.failed) throw outcome.error;
    return outcome.value as T;
  }

  private stop(): void {
    this.stopped = new Promise((resolve) => {
      this.goOn = resolve;
    });
    this.struck = true;
    this.onFate();
  }

  private die(): Promise<never> {
    this.dead = true;
    this.struck = true;
    this.onFate();
    return NEVER;
  }
}

function away(): PipelineError {
  return new PipelineError('unavailable', 'The simulation lets this call fail.');
}

async function settled<T>(call: () => Promise<T>): Promise<{ failed: boolean; value?: T; error?: unknown }> {
  try {
    return { failed: false, value: await call() };
  } catch (error) {
    return { failed: true, error };
  }
}

/** The same object with its asynchronous methods going through the process; `wrap` also wraps what some of them return. */
function through<T extends object>(process: Process, target: T, wrap: Readonly<Record<string, (made: never) => unknown>> = {}): T {
  return new Proxy(target, {
    get(_, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...args: unknown[]) => unknown;
      if (typeof name === 'symbol') return (...args: unknown[]) => (process.dead ? NEVER : method(...args));
      if (name === 'acknowledge' || name === 'distance') return (...args: unknown[]) => (process.dead ? undefined : method(...args));
      if (name === 'readRange') return (...args: unknown[]) => rangeThrough(process, method(...args) as AsyncIterable<unknown>);
      return async (...args: unknown[]) => {
        const made = await process.through(async () => method(...args));
        const wrapper = wrap[name];
        return wrapper === undefined || made === undefined ? made : wrapper(made as never);
      };
    },
  });
}

async function* rangeThrough(process: Process, range: AsyncIterable<unknown>): AsyncIterable<unknown> {
  const iterator = range[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await process.through(() => iterator.next());
    if (done === true) return;
    yield value;
  }
}

/** The ports as this process has them. */
export function portsOf(process: Process, ports: { state: State; bus: Bus; registry: Registry }) {
  const delivery = { next: (made: never) => through(process, made) };
  return {
    state: through(process, ports.state),
    registry: through(process, ports.registry),
    bus: through(process, ports.bus, {
      producer: (made: Producer) => refusing(through(process, made)),
      reader: (made: PartitionReader) => through(process, made),
      group: (made: GroupMember) => through(process, made, delivery),
    } as Record<string, (made: never) => unknown>),
  };
}

/** As the contract says: after a send that failed a producer sends no more. */
function refusing(producer: Producer): Producer {
  let failed = false;
  return {
    send: async (topic, partition, messages) => {
      if (failed) throw new PipelineError('conflict', 'An earlier send of this producer failed.');
      try {
        return await producer.send(topic, partition, messages);
      } catch (error) {
        failed = true;
        throw error;
      }
    },
    [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
  };
}

/** The source as this process has it. */
export function sourceOf(process: Process, source: Source): Source {
  return through(process, source, { changes: (made: never) => through(process, made) });
}

/** The sink as this process has it. */
export function sinkOf(process: Process, sink: Sink): Sink {
  return through(process, sink);
}

/** The clock as this process has it: a dead one's sleeps never end, a stopped one's end later. */
export function clockOf(process: Process, clock: ServiceContext['clock']): ServiceContext['clock'] {
  return {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    sleep: async (ms, signal) => {
      await clock.sleep(ms, signal);
      if (process.dead) await NEVER;
    },
  };
}
