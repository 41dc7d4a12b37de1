/** Those who wait until something happened in the model, woken in the order of their waiting. */
export class WakeUps {
  private readonly waiting = new Set<() => void>();

  wake(): void {
    for (const end of [...this.waiting]) end();
  }

  /** Resolves at the next wake-up, or when the signal aborts. */
  next(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        this.waiting.delete(end);
        signal.removeEventListener('abort', end);
        resolve();
      };
      this.waiting.add(end);
      signal.addEventListener('abort', end, { once: true });
    });
  }
}
