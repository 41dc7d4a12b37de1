import type { ServiceError, ServiceErrorName } from './errors.ts';
import { SERVICE_ERRORS } from './errors.ts';
import type { ParsedRequest, RequestKind } from './request-kind.ts';

/** What is done to a request. */
export type FaultAction =
  /** The request is passed on and answered, and the answer does not arrive. */
  | { readonly do: 'loseReply' }
  /** The connection breaks before anything is passed on. */
  | { readonly do: 'loseRequest' }
  /** Nothing is passed on; the caller gets this error. */
  | { readonly do: 'answer'; readonly error: ServiceErrorName | ServiceError }
  /** A job of that id is made, does nothing and fails with this error. Its id is used up. */
  | { readonly do: 'failJob'; readonly error: ServiceErrorName | ServiceError }
  /** A job is answered as RUNNING at once; `jobs.get` says so until it has ended. With `hold` it begins only on `release`. */
  | { readonly do: 'background'; readonly hold?: boolean }
  /** Waits before passing on, or before answering, until `release`; also when the caller has gone meanwhile. */
  | { readonly do: 'holdRequest' | 'holdReply' }
  /** Waits so long before passing on. */
  | { readonly do: 'delay'; readonly ms: number };

/** Which requests a fault is for; everything given must match. Texts are regular expressions. */
export interface FaultMatch {
  readonly kind?: RequestKind;
  readonly method?: string;
  readonly path?: string;
  readonly jobId?: string;
  /** Searched in the JSON of the request, so in a statement or a table's name. */
  readonly json?: string;
}

/** A fault: plain data, so that it can be sent to a proxy in another process. */
export interface Fault {
  readonly match: FaultMatch;
  readonly action: FaultAction;
  /** How many matching requests pass before; default none. */
  readonly skip?: number;
  /** How often it happens; default once. */
  readonly times?: number;
}

/** A fault that waits for its request, or has met it. */
export interface PlannedFault {
  readonly id: number;
  readonly fault: Fault;
  /** How many requests matched. */
  readonly seen: number;
  /** To how many it happened. */
  readonly hits: number;
}

/** A fault met by a request; `released` settles when the test lets it go on. */
export interface MetFault {
  readonly action: FaultAction;
  readonly released: Promise<void>;
}

interface Entry {
  readonly id: number;
  readonly fault: Fault;
  readonly released: Promise<void>;
  readonly release: () => void;
  seen: number;
  hits: number;
}

/** The faults of one proxy. The first one that matches and is not used up is the one that happens. */
export class FaultPlan {
  #entries: readonly Entry[] = [];
  #next = 1;
  readonly #waiting = new Set<() => void>();

  /** Adds a fault; its id is for {@link hit} and {@link release}. */
  add(fault: Fault): number {
    for (const text of [fault.match.path, fault.match.jobId, fault.match.json]) if (text !== undefined) new RegExp(text);
    const { promise, resolve } = Promise.withResolvers<void>();
    const id = this.#next++;
    this.#entries = [...this.#entries, { id, fault, released: promise, release: resolve, seen: 0, hits: 0 }];
    return id;
  }

  /** Lets held requests go on; they and later ones are not held any more. */
  release(id: number): void {
    this.#entry(id).release();
  }

  /** Forgets one fault, or all; what they hold goes on. */
  remove(id?: number): void {
    for (const entry of this.#entries.filter((each) => id === undefined || each.id === id)) entry.release();
    this.#entries = id === undefined ? [] : this.#entries.filter((each) => each.id !== id);
  }

  list(): readonly PlannedFault[] {
    return this.#entries.map(({ id, fault, seen, hits }) => ({ id, fault, seen, hits }));
  }

  /** Resolves when a fault has happened so often. */
  async hit(id: number, times = 1): Promise<void> {
    while (this.#entry(id).hits < times) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** What happens to a request. */
  meet(request: ParsedRequest): MetFault | undefined {
    for (const entry of this.#entries) {
      if (!matches(entry.fault.match, request) || entry.hits >= (entry.fault.times ?? 1)) continue;
      if (entry.seen++ < (entry.fault.skip ?? 0)) continue;
      entry.hits++;
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
      return { action: entry.fault.action, released: entry.released };
    }
    return undefined;
  }

  #entry(id: number): Entry {
    const entry = this.#entries.find((each) => each.id === id);
    if (entry === undefined) throw new Error(`the proxy has no fault ${id}`);
    return entry;
  }
}

/** The error that an action stands for. */
export function errorOf(error: ServiceErrorName | ServiceError): ServiceError {
  return typeof error === 'string' ? SERVICE_ERRORS[error] : error;
}

function matches(match: FaultMatch, request: ParsedRequest): boolean {
  return (
    (match.kind ?? request.kind) === request.kind &&
    (match.method ?? request.method) === request.method &&
    isIn(match.path, request.path) &&
    isIn(match.jobId, request.job?.jobId) &&
    isIn(match.json, request.json === undefined ? undefined : JSON.stringify(request.json))
  );
}

function isIn(pattern: string | undefined, text: string | undefined): boolean {
  return pattern === undefined || (text !== undefined && new RegExp(pattern).test(text));
}
