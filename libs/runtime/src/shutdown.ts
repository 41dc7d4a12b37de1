/** A process's wish to end, as an AbortSignal. */
export interface Shutdown extends Disposable {
  /** Aborts at the first SIGINT or SIGTERM, or when {@link request} is called. */
  readonly signal: AbortSignal;
  /** Begins the shutdown from inside. */
  request(): void;
}

/** The part of `process` that is listened to. */
export interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  off(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
}

/**
 * Turns SIGINT and SIGTERM into an abort. A second signal means that the user does not want to wait: `exitNow` is called at
 * once, which is as safe as any kill, because every step here may be cut off.
 */
export function listenForShutdown(exitNow: (status: number) => void, source: SignalSource = process): Shutdown {
  const controller = new AbortController();
  const listener = (number: number) => () => {
    if (controller.signal.aborted) exitNow(128 + number);
    else controller.abort();
  };
  const listeners = { SIGINT: listener(2), SIGTERM: listener(15) } as const;
  source.on('SIGINT', listeners.SIGINT);
  source.on('SIGTERM', listeners.SIGTERM);
  return {
    signal: controller.signal,
    request: () => controller.abort(),
    [Symbol.dispose]: () => {
      source.off('SIGINT', listeners.SIGINT);
      source.off('SIGTERM', listeners.SIGTERM);
    },
  };
}
