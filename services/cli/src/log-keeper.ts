import type { Bus, Clock, Log, OutMessage, Producer } from '@nanosync/core';
import type { LogEntry } from '@nanosync/runtime';
import { backoffMs, isAtLeast } from '@nanosync/runtime';

/** Lines that stay on the bus. */
const KEPT_LINES = 10_000;
/** So many more may come before the oldest are removed: to remove is a step of the bus like any other. */
const SLACK_LINES = 1000;
/** Lines that wait for the bus; those that come while so many do are counted and not kept. */
const WAITING_LINES = 2000;
/** Bytes of one send, and of one line. */
const SEND_BYTES = 256_000;
const LINE_BYTES = 64_000;
/** A longer text of a line is cut. */
const LONGEST_TEXT = 4000;
/** Lines go out together, so often. */
const EVERY_MS = 500;
/** What the end of the process waits for its last lines. */
const END_MS = 2000;
const BACKOFF = { firstMs: 1000, maxMs: 60_000 };

/**
 * Keeps the lines of a process's log on the bus, where every planner can read them. Best effort: it never waits for the bus where a line is
 * written, fails nothing, and says nothing of its own failures but how many lines were not kept, once it can again.
 */
export class LogKeeper implements AsyncDisposable {
  private readonly clock: Clock;
  private readonly waiting: OutMessage[] = [];
  private readonly ending = new AbortController();
  private dropped = 0;
  private running: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Takes a line; one below `info` is not kept. */
  readonly add = (entry: LogEntry): void => {
    if (!isAtLeast(entry.level, 'info')) return;
    if (this.waiting.length >= WAITING_LINES || this.ending.signal.aborted) {
      this.dropped++;
      return;
    }
    const value = Buffer.from(JSON.stringify({ atMs: this.clock.nowMs(), ...cut(entry) }));
    if (value.length > LINE_BYTES) this.dropped++;
    else this.waiting.push({ key: new Uint8Array(), value });
  };

  /** Begins to keep what was taken, in a topic of one bus partition; until then it waits here. `log` is told what was not kept. */
  keepOn(bus: Bus, topic: string, log: Log): void {
    this.running = this.run(bus, topic, log);
  }

  /** Keeps what came before, as long as that does not take long. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.ending.abort();
    const over = new AbortController();
    await Promise.race([this.running, this.clock.sleep(END_MS, over.signal)]);
    over.abort();
  }

  private async run(bus: Bus, topic: string, log: Log): Promise<void> {
    const { signal } = this.ending;
    for (let failures = 0; ; ) {
      try {
        await this.send(bus, topic, log, () => {
          failures = 0;
        });
        return;
      } catch {
        if (signal.aborted) return; // Whatever it is: a bus that does not take log lines is no reason for anything.
        await this.clock.sleep(backoffMs(++failures, BACKOFF), signal);
      }
    }
  }

  /** Sends what comes until the end, and then what is left. Throws what the bus throws; what was not acknowledged is sent again. */
  private async send(bus: Bus, topic: string, log: Log, onSent: () => void): Promise<void> {
    const { waiting, ending } = this;
    let producer: Producer | undefined;
    let trimmed = 0;
    try {
      do {
        await this.clock.sleep(EVERY_MS, ending.signal);
        while (waiting.length > 0) {
          if (producer === undefined) {
            trimmed = (await bus.ensureTopic(topic, 1)).partitions[0]?.start ?? 0;
            producer = await bus.producer();
          }
          const sending = firstOf(waiting);
          const { end } = await producer.send(topic, 0, sending);
          waiting.splice(0, sending.length);
          onSent();
          this.tellDropped(log);
          if (end - trimmed <= KEPT_LINES + SLACK_LINES) continue;
          trimmed = end - KEPT_LINES;
          await bus.trim(topic, 0, trimmed);
        }
      } while (!ending.signal.aborted);
    } finally {
      await close(producer);
    }
  }

  private tellDropped(log: Log): void {
    const lines = this.dropped;
    this.dropped = 0;
    if (lines > 0) log.warn('log lines were not kept on the bus', { lines });
  }
}

async function close(producer: Producer | undefined): Promise<void> {
  try {
    await producer?.[Symbol.asyncDispose]();
  } catch {
    // It is thrown away.
  }
}

/** As many as one send takes; at least one. */
function firstOf(waiting: readonly OutMessage[]): readonly OutMessage[] {
  let bytes = 0;
  const count = waiting.findIndex(({ value }) => {
    bytes += value.length;
    return bytes > SEND_BYTES;
  });
  return waiting.slice(0, count < 0 ? waiting.length : Math.max(1, count));
}

function cut({ msg, fields, ...entry }: LogEntry): LogEntry {
  const short = Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? cutText(value) : value]);
  return { ...entry, msg: cutText(msg), fields: Object.fromEntries(short) };
}

function cutText(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}…`;
}
