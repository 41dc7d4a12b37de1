/** Events that work tells while it runs, as something that is read. */
export class Events<T> {
  private waiting: { readonly event: T; readonly topic: string | undefined }[] = [];
  private wake: () => void = () => {};

  /** Adds an event. Of one topic only the newest waits, so that a reader that is slow misses what is out of date. */
  put(event: T, topic?: string): void {
    if (topic !== undefined) this.waiting = this.waiting.filter((one) => one.topic !== topic);
    this.waiting.push({ event, topic });
    this.wake();
  }

  /** The events of the work, until it has ended; throws what it throws. The signal aborts when nobody reads any more. */
  async *during(work: (signal: AbortSignal) => Promise<void>): AsyncGenerator<T> {
    let over = false;
    let failed: { readonly reason: unknown } | undefined;
    const ending = new AbortController();
    const running = work(ending.signal)
      .catch((reason: unknown) => {
        failed = { reason };
      })
      .then(() => {
        over = true;
        this.wake();
      });
    try {
      for (;;) {
        for (const { event } of this.waiting.splice(0)) yield event;
        if (over && this.waiting.length === 0) break;
        if (this.waiting.length === 0 && !over)
          await new Promise<void>((resolve) => {
            this.wake = resolve;
          });
      }
    } finally {
      ending.abort();
      await running;
    }
    if (failed !== undefined) throw failed.reason;
  }
}
