import type { ApiParts, ServedApi, SinkCheckRequest } from '@nanosync/api';
import type { Bus, Clock, ConnectionDefinition, Ids, Log, Problem, Registry, ServiceContext, Sink, Source, State } from '@nanosync/core';
import type { Environment, Redactor } from '@nanosync/runtime';
import type { Terminal } from './monitor/terminal.ts';
import type { Place } from './place.ts';

/** A service: `start` runs all side by side, `service` one. */
export interface Service {
  readonly name: string;
  readonly run: (ctx: ServiceContext) => Promise<void>;
}

/** What a sink may use of this process. */
export interface SinkOptions {
  readonly memoryLimitBytes: number;
  readonly log: Log;
}

/** What stands behind the ports in this process. Connections are handed over with their secrets resolved. */
export interface Adapters {
  /** Throws `unavailable` when it does not answer. */
  openState(place: Place, options?: StateOptions): Promise<State>;
  /** Throws `unavailable` when bus or registry do not answer. */
  openBus(place: Place, log: Log): Promise<{ readonly bus: Bus; readonly registry: Registry }>;
  openSource(connection: ConnectionDefinition, log: Log): Promise<Source>;
  openSink(connection: ConnectionDefinition, options: SinkOptions): Promise<Sink>;
  /** Problems that would keep the tables from being written; creates nothing, not even an absent warehouse file. */
  checkSink(connection: ConnectionDefinition, request: SinkCheckRequest, options: SinkOptions): Promise<readonly Problem[]>;
  /** Listens for commands; throws PipelineError `config` where it must not or cannot. */
  openApi(parts: ApiParts): Promise<ServedApi>;
  /** The services; a snapshot worker reads so many partitions at once. */
  services(workerSlots: number): readonly Service[];
}

/** How a state store is opened. */
export interface StateOptions {
  /** For the holder of the data directory's lock alone. */
  readonly forgetLeases?: boolean;
  /** For services: gets warnings of what the store may lose. */
  readonly log?: Log;
}

/** Everything a command needs from the process it runs in. */
export interface CliContext {
  readonly adapters: Adapters;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly env: Environment;
  readonly redactor: Redactor;
  /** Writes one line without its line end. */
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
  /** Aborts when nobody reads what is written any more (a pager that was left, `head`). */
  readonly outputGone: AbortSignal;
  readonly isTerminal: boolean;
  /** Asks who sits at the terminal; absent where nobody does. */
  readonly confirm?: (question: string) => Promise<boolean>;
  /** Takes the whole terminal; absent where input or output is none, or one that cannot move its cursor. */
  readonly terminal?: () => Terminal;
  /** Of this nanosync. */
  readonly version: string;
  /** This process, for messages. */
  readonly pid: number;
  /** Keeps this process's heap small, for one that serves beside others. */
  readonly boundMemory: () => void;
  /** Ends the process at once. */
  readonly exitNow: (status: number) => void;
  /** Ends a serving command as Ctrl-C does; absent: the process's signals do. */
  readonly stop?: AbortSignal;
}

/** A command went well. */
export const EXIT_OK = 0;
/** A pipeline failed, or something broke while running. */
export const EXIT_FAILED = 1;
/** The input or the surroundings are not as needed; nothing was created. */
export const EXIT_REFUSED = 2;
