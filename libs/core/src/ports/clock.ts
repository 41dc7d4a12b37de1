/** Time as a port, so that the simulator can own it. */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  nowMs(): number;
  /** Milliseconds that only go forward, for durations. */
  monotonicMs(): number;
  /** Waits; ends early, without error, when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Random identifiers as a port. They are compared for equality only and never counted up. */
export interface Ids {
  /** A new random id of 16 hexadecimal digits. */
  next(): string;
}
