/**
 * One piece of work at a time beside the rounds over a pipeline's tables: what waits for other people's transactions, so that the other
 * tables do not wait with it.
 */
export class Beside implements AsyncDisposable {
  private readonly ending = new AbortController();
  private running: Promise<void> | undefined;
  private failure: { readonly error: unknown } | undefined;
  private text: string | null = null;

  /** True until the work has ended. */
  get isBusy(): boolean {
    return this.running !== undefined;
  }

  /** What the work waits for, or null. */
  get waiting(): string | null {
    return this.text;
  }

  /** Starts work that ends early when the signal aborts; its error is thrown by the next {@link rethrow}. */
  start(work: (signal: AbortSignal, waiting: (text: string | null) => Promise<void>) => Promise<void>): void {
    const waiting = async (text: string | null) => {
      this.text = text;
    };
    this.running = work(this.ending.signal, waiting)
      .catch((error: unknown) => {
        if (!this.ending.signal.aborted) this.failure = { error };
      })
      .finally(() => {
        this.running = undefined;
        this.text = null;
      });
  }

  /** Throws what the last work ended with, once. */
  rethrow(): void {
    const failure = this.failure;
    this.failure = undefined;
    if (failure !== undefined) throw failure.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ending.abort();
    await this.running;
  }
}
