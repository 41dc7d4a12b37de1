/** Requests for status that follow one another faster than this come from a server that shuts down. */
const URGENT_MS = 100;
/** How long a server that shuts down may be kept waiting for changes to be published. */
const PATIENCE_MS = 10_000;

/**
 * Notices a server that cannot shut down because of us: its walsender waits until everything is confirmed and asks for status
 * again and again. While the bus takes changes that is soon; when it does not, the database must not hang for it.
 */
export class ShutdownWatch {
  private since = 0;
  private last = Number.NEGATIVE_INFINITY;

  /** A request for status arrived; true when the server has been kept waiting for too long. */
  asked(nowMs: number): boolean {
    if (nowMs - this.last > URGENT_MS) this.since = nowMs;
    this.last = nowMs;
    return nowMs - this.since > PATIENCE_MS;
  }

  /** Something more was confirmed: the server's patience starts anew. */
  progressed(): void {
    this.last = Number.NEGATIVE_INFINITY;
  }
}
